"""The model half of a run: train, compress, quantize, each cached by what went into it."""

from __future__ import annotations

import contextlib
import importlib.metadata
import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from edgepack.cache import CACHE_NAME, Cache, code_digest, file_digest, stage_key, tree_digest
from edgepack.compress.apply import MODEL_NAME as KERAS_NAME
from edgepack.compress.apply import STEPS, apply
from edgepack.config import CONFIG_NAME, Config
from edgepack.errors import ConfigError, MissingToolError
from edgepack.models.dataset import read_dataset, write_dataset
from edgepack.models.entry import (
    DATA_NAME,
    PT2_NAME,
    is_entry,
    parse_entry,
    run_data_entry,
    run_model_entry,
)
from edgepack.models.handle import ModelHandle, digest_of
from edgepack.models.isolate import has_package, require_package, warm_children
from edgepack.models.load import load_model
from edgepack.models.progress import Progress
from edgepack.pipeline.compress import STEPS_NAME
from edgepack.pipeline.convert import as_tflite, convert_cached
from edgepack.pipeline.convert_entry import model_file
from edgepack.pipeline.device_meter import METER
from edgepack.pipeline.quantize import oracle_outputs, user_judge
from edgepack.quantize.int8 import MODEL_NAME as TFLITE_NAME
from edgepack.quantize.int8 import TEST_NAME, quantize_int8, write_samples
from edgepack.quantize.rules import PRESETS

QAT_NAME = "qat"  # in the cache: the checkpoint of an interrupted training
_TRAINERS = ("tensorflow", "keras", "numpy")  # packages whose version changes what is trained


@dataclass(frozen=True)
class Prepared:
    """An integer model and the samples to run on it.

    Attributes:
        tflite: the model file.
        samples: an .npz for `edgepack bench --data`, or None where the configuration names none.
        notes: what a reader of the result must know about how the model came about.
        seconds: how long each stage took when it ran, by name; `reused` names those that did not
            run now.
    """

    tflite: Path
    samples: Path | None
    notes: tuple[str, ...]
    seconds: dict[str, float]
    reused: tuple[str, ...]


@dataclass(frozen=True)
class _Stage:
    """One step of the chain: `produce` fills its folder; `trains` says that it uses TensorFlow."""

    name: str
    inputs: Mapping[str, Any]
    produce: Callable[[Path], None]
    trains: bool


def prepare_model(config: Config, cache: Cache, progress: Progress) -> Prepared:
    """Do everything that edgepack.toml says up to the .tflite file.

    Raises:
        ConfigError: a file that it names does not exist.
        MissingToolError: TensorFlow is needed and there is no fallback.
        EdgepackError: whatever a stage raises.
    """
    source = config.model.source
    is_tflite = source.lower().endswith(".tflite")
    if is_tflite and config.quantize is None:
        ready = as_tflite(existing(config, "model.source", source), cache, progress)
        return _finished(config, cache, ready.path, progress, ready.warnings)
    if config.quantize is None and not config.compress:
        return _converted(config, cache, progress)
    if not is_tflite and not has_package("tensorflow"):
        if config.model.fallback is None:
            require_package("tensorflow", extra="tf", why=f"to train or convert {source}")
        assert config.model.fallback is not None
        model = existing(config, "model.fallback", config.model.fallback)
        note = (
            f"TensorFlow is not installed: started from {model.name}; nothing was trained, "
            "compressed or quantized in this run"
        )
        return _finished(config, cache, model, progress, (note,))
    return _trained(config, cache, progress)


def _converted(config: Config, cache: Cache, progress: Progress) -> Prepared:
    """A model of another format that is built in the precision that it has."""
    named = Path(config.model.source)
    if not is_entry(config.model.source):
        existing(config, "model.source", config.model.source)
    try:
        source = model_file(named, cache, progress, base=config.folder, seed=config.model.seed)
        done = convert_cached(source, cache=cache, progress=progress)
    except MissingToolError as error:
        if config.model.fallback is None:
            raise
        model = existing(config, "model.fallback", config.model.fallback)
        note = f"{error.message}: started from {model.name}"
        return _finished(config, cache, model, progress, (note,))
    prepared = _finished(config, cache, done.path, progress, done.warnings)
    reused = ("convert",) if done.reused else ()
    return replace(prepared, seconds={"convert": done.seconds}, reused=reused)


def existing(config: Config, key: str, name: str) -> Path:
    """The path of a file that edgepack.toml names.

    Raises:
        ConfigError: it does not exist.
    """
    path = config.folder / name
    if not path.exists():
        raise ConfigError(
            f"{key} = {name!r}: {path} does not exist",
            allowed="a path relative to the folder of edgepack.toml",
        )
    return path


def _finished(
    config: Config, cache: Cache, model: Path, progress: Progress, notes: tuple[str, ...]
) -> Prepared:
    """A model that is an integer .tflite already; only the samples are to be found."""
    samples = _bench_data(config)
    if samples is None and config.data is not None:
        data = _data_file(config, cache, progress)

        def split(folder: Path) -> None:
            write_samples(folder / TEST_NAME, read_dataset(data).test)

        inputs = {"data": file_digest(data), "code": code_digest("models", "quantize")}
        samples = cache.get("samples", inputs, split) / TEST_NAME
    return Prepared(model, samples, notes, {}, ())


def _bench_data(config: Config) -> Path | None:
    return None if config.bench.data is None else existing(config, "bench.data", config.bench.data)


def _data_file(config: Config, cache: Cache, progress: Progress) -> Path:
    """The .npz that `[data]` names, or that its function, its CSV file or its folder becomes."""
    assert config.data is not None
    if not is_entry(config.data.source):
        return _as_npz(existing(config, "data.source", config.data.source), cache)
    stage = _data_stage(config, progress)
    try:
        return cache.get(stage.name, stage.inputs, stage.produce) / DATA_NAME
    except MissingToolError:
        if config.data.fallback is None:
            raise
        return existing(config, "data.fallback", config.data.fallback)


def _as_npz(path: Path, cache: Cache) -> Path:
    """A data file; of a folder or a file of another form the .npz that holds the same."""
    if not path.is_dir() and path.suffix.lower() not in (".csv", ".npy"):
        return path
    described = path.with_suffix(".toml")
    files = [path, *([described] if described.is_file() else [])]
    inputs = {"data": tree_digest(files), "code": code_digest("models")}

    def read(folder: Path) -> None:
        write_dataset(folder / DATA_NAME, read_dataset(path))

    return cache.get("read-data", inputs, read) / DATA_NAME


def _trained(config: Config, cache: Cache, progress: Progress) -> Prepared:
    """Run the chain of stages; each one's key contains the key of the one before."""
    if config.quantize is None:
        raise ConfigError(
            f"{config.model.source} is a float model and {CONFIG_NAME} has no [quantize]",
            next_step="add [quantize], or convert the model to .tflite and name that as source",
        )
    assert config.data is not None  # Config demands it for [quantize]
    chain = _Chain(config, cache, progress)
    stages = chain.stages()
    missing = [s for s in stages if s.trains and not cache.holds(s.name, s.inputs)]
    seconds: dict[str, float] = {}
    reused = []
    with warm_children(len(missing)):
        for stage in stages:
            artefact = cache.get(stage.name, stage.inputs, stage.produce)
            chain.folders[stage.name] = artefact.folder
            seconds[stage.name] = artefact.seconds
            if artefact.reused:
                reused.append(stage.name)
    folder = chain.folders["quantize"]
    samples = _bench_data(config) or folder / TEST_NAME
    return Prepared(folder / TFLITE_NAME, samples, (), seconds, tuple(reused))


class _Chain:
    """The stages of a configuration, and where those that have run put their artefacts."""

    def __init__(self, config: Config, cache: Cache, progress: Progress) -> None:
        self.config, self.cache, self.progress = config, cache, progress
        self.folders: dict[str, Path] = {}
        self._model: ModelHandle | None = None

    def stages(self) -> list[_Stage]:
        """All stages in order."""
        assert self.config.data is not None and self.config.quantize is not None
        found = []
        if is_entry(self.config.data.source):
            found.append(_data_stage(self.config, self.progress))
            data_key = stage_key(found[-1].name, found[-1].inputs)
        else:
            data_key = file_digest(self._data())
        model_key = self._source_key()
        if is_entry(self.config.model.source):
            inputs = {**_entry_key(self.config, self.config.model.source), "data": data_key}
            found.append(_Stage("train", inputs, self._train, True))
            model_key = stage_key("train", inputs)
        if self.config.compress:
            steps = STEPS.dump_python(self.config.compress, mode="json")
            inputs = {"model": model_key, "data": data_key, "steps": steps, **_code("compress")}
            found.append(_Stage("compress", inputs, self._compress, True))
            model_key = stage_key("compress", inputs)
        recipe = asdict(self.config.quantize)
        inputs = {"model": model_key, "data": data_key, "recipe": recipe, **self._beside()}
        inputs |= _code("quantize", "convert")
        found.append(_Stage("quantize", inputs, self._quantize, True))
        return found

    def _beside(self) -> dict[str, Any]:
        """Files that `[quantize]` names: rules, and the user's own figure."""
        assert self.config.quantize is not None
        rules, metric = self.config.quantize.recipe, self.config.quantize.metric
        found: dict[str, Any] = {}
        if isinstance(rules, str) and rules not in PRESETS:
            found["rules"] = file_digest(existing(self.config, "quantize.recipe", rules))
        if metric is not None:
            found["metric"] = _entry_key(self.config, metric)
        return found

    def _source_key(self) -> str:
        if is_entry(self.config.model.source):
            return ""
        return digest_of(existing(self.config, "model.source", self.config.model.source))

    def _data(self) -> Path:
        assert self.config.data is not None
        if "data" in self.folders:
            return self.folders["data"] / DATA_NAME
        path = existing(self.config, "data.source", self.config.data.source)
        return _as_npz(path, self.cache)

    def _handle(self) -> ModelHandle:
        """The model as the stages so far have left it; opened only if none of them ran now."""
        stage = next((s for s in ("compress", "train") if s in self.folders), None)
        path = (
            self.config.folder / self.config.model.source
            if stage is None
            else next(p for p in self.folders[stage].iterdir() if p.name in (KERAS_NAME, PT2_NAME))
        )
        if self._model is None:
            return load_model(path)
        return replace(self._model, path=path)  # the stage's folder has its final name by now

    def _train(self, folder: Path) -> None:
        entry = parse_entry(self.config.model.source, self.config.folder)
        self._model = run_model_entry(
            entry, folder, data=self._data(), seed=self.config.model.seed, progress=self.progress
        )

    def _compress(self, folder: Path) -> None:
        done = apply(
            self._handle(),
            self.config.compress,
            self._data(),
            folder,
            progress=self.progress,
            folder=self.config.folder,
            checkpoints=self.config.folder / CACHE_NAME / STEPS_NAME,
            meter=METER,
        )
        self._model = done.handle

    def _quantize(self, folder: Path) -> None:
        assert self.config.quantize is not None
        work = self.config.folder / CACHE_NAME / QAT_NAME
        quantize_int8(
            self._handle(),
            self.config.quantize,
            self._data(),
            folder,
            folder=self.config.folder,
            judge=user_judge(self.config.quantize, self.config.folder),
            reference=oracle_outputs,
            work=work,
            progress=self.progress,
        )
        shutil.rmtree(work, ignore_errors=True)  # the artefact is whole: nothing to go on from


def _data_stage(config: Config, progress: Progress) -> _Stage:
    assert config.data is not None
    entry = parse_entry(config.data.source, config.folder)

    def produce(folder: Path) -> None:
        run_data_entry(entry, folder, seed=config.model.seed, progress=progress)

    return _Stage("data", _entry_key(config, config.data.source), produce, False)


def _entry_key(config: Config, source: str) -> dict[str, Any]:
    """What a function of the user's depends on: every Python file beside it, seed and versions."""
    entry = parse_entry(source, config.folder)
    files = sorted(entry.file.parent.glob("*.py"))
    return {
        "function": str(entry),
        "files": tree_digest(files),
        "seed": config.model.seed,
        **_code("models"),
    }


def _code(*parts: str) -> dict[str, Any]:
    """What every stage depends on besides its input: our code and the trainers' versions."""
    return {"code": code_digest("models", *parts), "versions": _versions()}


def _versions() -> dict[str, str]:
    found = {}
    for name in _TRAINERS:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found

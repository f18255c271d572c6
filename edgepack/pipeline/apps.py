"""A model and a kind of app -> a module for the app's own build, whole or not at all."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from edgepack import __version__
from edgepack.atomic import check_replaceable, new_directory
from edgepack.bench.golden import GoldenRun, run_golden
from edgepack.emit import app_text
from edgepack.emit.app import App, AppTensor, Golden, app_tensor, scores_of
from edgepack.emit.app_table import EMITTERS
from edgepack.emit.metadata import (
    LABEL_FILE,
    ImageContent,
    ModelDescription,
    TensorDescription,
    add_metadata,
)
from edgepack.errors import DataError, UsageError
from edgepack.models.handle import ModelHandle
from edgepack.models.progress import Progress, silent
from edgepack.pipeline.app_inputs import GOLDEN_SAMPLES, ImageChoice, describe_inputs, golden_inputs
from edgepack.pipeline.app_variants import (
    Form,
    Variant,
    as_row,
    judging_samples,
    make_variants,
    measure,
    random_inputs,
    scratch,
    stored_inputs,
)
from edgepack.pipeline.build import is_project
from edgepack.targets import load_app
from edgepack.types import Array, DType

RECORD_NAME = "edgepack-app.json"
RECORD_FORMAT = 1
_MAX_LABEL_BYTES = 1 << 20
_LINE_ENDS = "\x7f\x85\u2028\u2029"  # what some reader takes for the end of a line, and delete
_MAX_WORDS = 2000
_STAGE = "app"


@dataclass(frozen=True)
class AppRequest:
    """What to pack.

    target: a name of edgepack/emit/app_table.py. optimize: which form of the model.
    labels: a text file with one label per line. data: samples, for int8, accuracy and golden
    vectors. package: the Kotlin package; by default edgepack.models.<name>.
    """

    model: Path
    target: str
    optimize: Form = "as-is"
    name: str | None = None
    labels: Path | None = None
    data: str | None = None
    image: ImageChoice = field(default_factory=ImageChoice)
    description: str = ""
    version: str = "1.0.0"
    author: str = ""
    license: str = ""
    package: str | None = None

    @property
    def model_name(self) -> str:
        """The model's name."""
        return self.name or self.model.stem


@dataclass(frozen=True)
class AppResult:
    """What was packed: the forms of the model with their figures, and what the user should know."""

    app: App
    variants: tuple[Variant, ...]
    notes: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """As `--json` prints it."""
        return {
            "name": self.app.name,
            "class": self.app.class_name,
            "optimize": self.app.optimize,
            "model_sha256": self.app.sha256,
            "model_bytes": len(self.app.model),
            "inputs": [_tensor(t) for t in self.app.inputs],
            "outputs": [_tensor(t) for t in self.app.outputs],
            "labels": len(self.app.labels),
            "variants": [as_row(v) for v in self.variants],
            "notes": list(self.notes),
        }


def is_app(directory: Path) -> bool:
    """Whether a directory was written by `build_app` of some version of edgepack."""
    try:
        document = json.loads((directory / RECORD_NAME).read_bytes())
    except (OSError, ValueError):
        return False
    return isinstance(document, dict) and "edgepack_version" in document


def _may_replace(directory: Path) -> bool:
    return is_app(directory) or is_project(directory)


def build_app(request: AppRequest, out: Path, progress: Progress = silent) -> AppResult:
    """Pack a model for an app; `out` appears only when everything worked.

    Raises:
        UsageError, DataError: options, labels or samples that do not fit the model.
        UnsupportedError: a tensor of a type that no app can fill or read.
        ProjectError: `out` holds something that edgepack did not write.
        EdgepackError: as converting and quantizing.
    """
    record = load_app(request.target)
    _check_words(request)
    package = _package(request)
    labels = None if request.labels is None else read_labels(request.labels)
    check_replaceable(out, may_replace=_may_replace)
    with scratch() as folder:
        made = make_variants(request.model, request.optimize, request.data, Path(folder), progress)
        chosen = next(v for v in made if v.form == request.optimize)
        plain = made[0].handle
        assert chosen.handle is not None and plain is not None
        samples = None if request.data is None else judging_samples(made, request.data, plain)
        inputs, note = describe_inputs(_tensors(chosen.handle, "input"), request.image)
        progress(_STAGE, 0.5, "computing golden outputs")
        given = None if samples is None else stored_inputs(samples, chosen.handle)
        app = _app(request, chosen, inputs, labels, given, package)
        progress(_STAGE, 0.7, "measuring on this computer")
        measured = tuple(
            measure(v, samples, () if v.handle is None else random_inputs(v.handle)) for v in made
        )
    with new_directory(out, may_replace=_may_replace) as building:
        EMITTERS[request.target](app, record, building)
        _write_record(building, app, request.target, measured)
    progress(_STAGE, 1.0, "done")
    notes = [*chosen.warnings, *([] if note is None else [note])]
    return AppResult(app, measured, tuple(notes))


def _check_words(request: AppRequest) -> None:
    """Refuse texts that no literal can hold (a constant of the JVM ends at 64 KB)."""
    for what, text in (
        ("name", request.model_name),
        ("description", request.description),
        ("version", request.version),
        ("author", request.author),
        ("license", request.license),
    ):
        if len(text) > _MAX_WORDS:
            raise UsageError(
                f"the {what} has {len(text)} characters", allowed=f"at most {_MAX_WORDS}"
            )


def read_labels(path: Path) -> tuple[str, ...]:
    """Read a label file: UTF-8, one label per line, in the order of the scores.

    Raises:
        DataError: it is missing, too large, no text, or has a line that is no label.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"cannot read the labels in {path}: {error.strerror}") from error
    if len(data) > _MAX_LABEL_BYTES:
        raise DataError(f"{path} has {len(data)} bytes", allowed=f"at most {_MAX_LABEL_BYTES}")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path} is no UTF-8 text: byte {error.start} is 0x{data[error.start]:02x}"
        ) from error
    lines = text.replace("\r\n", "\n").rstrip("\n").split("\n")
    for number, line in enumerate(lines, 1):
        if not line.strip():
            raise DataError(f"line {number} of {path} is empty", allowed="one label per line")
        bad = next((c for c in line if ord(c) < 32 or c in _LINE_ENDS), None)
        if bad is not None:
            raise DataError(
                f"line {number} of {path} holds the control character U+{ord(bad):04X}",
                allowed="one label per line",
            )
    return tuple(lines)


def _package(request: AppRequest) -> str:
    package = request.package
    if package is None:
        return f"edgepack.models.{app_text.package_word(request.model_name, 'model')}"
    if not app_text.is_java_package(package):
        raise UsageError(
            f"--package {package} is no name of a Kotlin package",
            allowed="two or more words of letters, digits and _, with dots between, none of them "
            "a keyword: com.example.keywords",
        )
    return package


def _tensors(handle: ModelHandle, side: str) -> tuple[AppTensor, ...]:
    tensors: list[AppTensor] = []
    for spec in handle.inputs if side == "input" else handle.outputs:
        shape = tuple(1 if size < 0 else size for size in spec.shape)
        taken = [t.field for t in tensors]
        tensors.append(
            app_tensor(spec.name, side, shape, spec.dtype, spec.scale, spec.zero_point, taken)
        )
    return tuple(tensors)


def _app(
    request: AppRequest,
    chosen: Variant,
    inputs: tuple[AppTensor, ...],
    labels: tuple[str, ...] | None,
    given: Sequence[Array] | None,
    package: str,
) -> App:
    handle, data = chosen.handle, chosen.data
    assert handle is not None and data is not None
    plain = _tensors(handle, "output")
    names = _fitting(plain, labels, handle.labels)
    stored, pixels = golden_inputs(inputs, given)
    hybrid = DType.INT8 in handle.dtypes and DType.FLOAT32 in handle.dtypes
    run = run_golden(data, stored, keep=GOLDEN_SAMPLES, hybrid=hybrid)
    outputs = tuple(
        replace(t, tolerance=tolerance) for t, tolerance in zip(plain, run.tolerances, strict=True)
    )
    bare = App(
        name=request.model_name,
        description=request.description,
        version=request.version,
        author=request.author,
        license=request.license,
        model=data,
        labels=(),
        inputs=inputs,
        outputs=outputs,
        goldens=_goldens(stored, run, pixels),
        stateful=run.stateful,
        package=package,
        reference=run.reference,
        optimize=request.optimize,
    )
    return _described(bare, names)


def _goldens(stored: Sequence[Array], run: GoldenRun, pixels: Array | None) -> tuple[Golden, ...]:
    return tuple(
        Golden(
            tuple(_little(array[sample]) for array in stored),
            tuple(_little(array[place]) for array in run.outputs),
            None if pixels is None else pixels[sample].tobytes(),
        )
        for place, sample in enumerate(run.kept)
    )


def _little(array: Array) -> bytes:
    return array.astype(array.dtype.newbyteorder("<")).tobytes()


def _fitting(
    outputs: tuple[AppTensor, ...],
    asked: tuple[str, ...] | None,
    carried: tuple[str, ...] | None,
) -> tuple[str, ...]:
    """The labels: those asked for must fit, those that the model carries count if they fit."""
    scores = scores_of(outputs)
    if asked is None:
        fits = carried is not None and scores is not None and len(carried) == scores.elements
        return carried if fits and carried is not None else ()
    if scores is None:
        raise DataError(
            f"labels were given, but the first output ({outputs[0].title}) is no vector of scores",
            next_step="leave out --labels",
        )
    if len(asked) != scores.elements:
        raise DataError(
            f"{len(asked)} labels for the {scores.elements} scores of output {scores.title}",
            allowed=f"{scores.elements} lines",
        )
    return asked


def _described(app: App, labels: tuple[str, ...]) -> App:
    """The app with its labels, and with TFLite Metadata in its model."""
    named = replace(app, labels=labels)
    description = ModelDescription(
        name=app_text.clean(app.name),
        description=app_text.clean(app.description),
        version=app_text.clean(app.version),
        author=app_text.clean(app.author),
        license=app_text.clean(app.license),
        inputs=tuple(_meaning(t, False) for t in app.inputs),
        outputs=tuple(_meaning(t, bool(labels) and t is app.outputs[0]) for t in app.outputs),
        files={LABEL_FILE: named.label_bytes()} if labels else {},
    )
    return replace(named, model=add_metadata(app.model, description))


def _meaning(tensor: AppTensor, labels: bool) -> TensorDescription:
    image = tensor.image
    minimum: tuple[float, ...] = ()
    maximum: tuple[float, ...] = ()
    if image is not None:
        pairs = list(zip(image.mean, image.std, strict=True))
        minimum = tuple((0 - mean) / std for mean, std in pairs)
        maximum = tuple((255 - mean) / std for mean, std in pairs)
    return TensorDescription(
        name=tensor.title,
        image=None if image is None else ImageContent(image.width, image.height, image.channels),
        mean=() if image is None else image.mean,
        std=() if image is None else image.std,
        minimum=minimum,
        maximum=maximum,
        labels=labels,
    )


def _write_record(directory: Path, app: App, target: str, variants: Sequence[Variant]) -> None:
    """Write what was made, without times: the same input gives the same bytes."""
    digests = {
        path.relative_to(directory).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(directory.rglob("*"))
        if path.is_file()
    }
    rows = [as_row(v) for v in variants]
    for row in rows:
        del row["host_latency_us"]
    document = {
        "format": RECORD_FORMAT,
        "edgepack_version": __version__,
        "target": target,
        "name": app_text.clean(app.name),
        "optimize": app.optimize,
        "reference": app.reference,
        "inputs": [_tensor(t) for t in app.inputs],
        "outputs": [_tensor(t) for t in app.outputs],
        "variants": rows,
        "files": digests,
    }
    text = json.dumps(document, indent=2, sort_keys=True)
    (directory / RECORD_NAME).write_text(text + "\n", encoding="utf-8")


def _tensor(tensor: AppTensor) -> dict[str, Any]:
    image = tensor.image
    return {
        "name": tensor.title,
        "field": tensor.field,
        "shape": list(tensor.shape),
        "dtype": tensor.dtype.value,
        "scale": tensor.scale,
        "zero_point": tensor.zero_point,
        "tolerance": tensor.tolerance,
        "image": None
        if image is None
        else {
            "width": image.width,
            "height": image.height,
            "channels": image.channels,
            "mean": list(image.mean),
            "std": list(image.std),
        },
    }

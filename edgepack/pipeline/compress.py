"""A model, data and steps -> a smaller `.keras` file and a report; each finished step is kept."""

from __future__ import annotations

import re
import tempfile
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from edgepack.cache import CACHE_NAME
from edgepack.compress.apply import STEPS, apply
from edgepack.compress.grid import SWEEP, without_sweep
from edgepack.compress.methods import METHODS, Step
from edgepack.errors import ConfigError, DataError, UsageError
from edgepack.models.entry import is_entry, parse_entry, run_data_entry
from edgepack.models.load import load_model
from edgepack.models.progress import Progress, silent
from edgepack.pipeline.compress_device import Build, add_device, check_target
from edgepack.pipeline.convert import user_cache
from edgepack.pipeline.convert_entry import model_file
from edgepack.pipeline.device_meter import METER

_DATA = "an .npz, a .csv, a folder of pictures, or file:function"
_COMMA = re.compile(r",(?![^\[\]]*\])")  # between pairs, not inside a list
STEPS_NAME = "compress-steps"  # in the cache folder: models after each step


@dataclass(frozen=True)
class Asked:
    """What to compress.

    Attributes:
        model: a `.keras` or `.h5` file.
        steps: at least one.
        data: an `.npz`, a `.csv`, a folder of pictures, `file:function`, or None.
        folder: that functions are relative to, and that gets the cache.
        timeout: seconds for all steps together.
        build: how the network is built before and after each step, to see what the device sees.
    """

    model: Path
    steps: tuple[Step, ...]
    data: str | None
    folder: Path = Path()
    timeout: float = 3600.0
    build: Build | None = None


@dataclass(frozen=True)
class Done:
    """The bytes of the `.keras` file, and the report (docs/compress.md)."""

    keras: bytes
    report: dict[str, Any]


def compress_model(asked: Asked, progress: Progress = silent) -> Done:
    """Run the steps, or those of them that an earlier run did not finish.

    Raises:
        UsageError: a target that is not emulated, or one and no data to calibrate with.
        EdgepackError: whatever a step raises.
    """
    if asked.build is not None:
        check_target(asked.build.target)
        if asked.data is None:
            raise UsageError(
                f"--target {asked.build.target} quantizes the network, which needs samples",
                allowed=f"--data with {_DATA}",
            )
    handle = load_model(model_file(asked.model, user_cache(), progress))
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        data = None
        if asked.data is not None:
            seed = asked.steps[0].seed
            data = located_data(asked.data, asked.folder, scratch, seed, progress)
        done = apply(
            handle,
            asked.steps,
            data,
            scratch / "out",
            progress=progress,
            timeout=asked.timeout,
            folder=asked.folder,
            checkpoints=asked.folder / CACHE_NAME / STEPS_NAME,
            meter=METER,
        )
        if asked.build is not None and data is not None:
            add_device(done, handle.path, data, asked.build, scratch, progress)
        return Done(done.handle.path.read_bytes(), done.report)


def located_data(
    named: str, folder: Path, scratch: Path, seed: int, progress: Progress = silent
) -> Path:
    """The file or folder of samples that a name stands for; what a function returns is written.

    Args:
        named: an `.npz`, a `.csv`, a folder of pictures, or `file:function`.
        folder: that it is relative to.
        scratch: gets what a function returns.
        seed: for the function.
        progress: told of the function.

    Raises:
        DataError: there are no such data.
    """
    if (folder / named).exists():
        return folder / named
    if not is_entry(named):
        raise DataError(f"data {named} do not exist", allowed=_DATA)
    return run_data_entry(parse_entry(named, folder), scratch, seed=seed, progress=progress)


def read_steps(path: Path) -> tuple[Step, ...]:
    """The `[[compress]]` tables of a TOML file, without what a sweep tries besides.

    Raises:
        ConfigError: it cannot be read, or a table is wrong.
    """
    return checked_steps(without_sweep(read_tables(path)), str(path))


def read_tables(path: Path) -> list[Any]:
    """The `[[compress]]` tables of a TOML file as they are; other tables in it are left alone.

    Raises:
        ConfigError: it cannot be read.
    """
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {error}") from error
    tables = document.get("compress", [])
    if not isinstance(tables, list):
        raise ConfigError(f"{path}: compress = {tables!r} is not allowed", allowed="[[compress]]")
    return tables


def parse_step(text: str) -> dict[str, Any]:
    """A step from `METHOD` or `METHOD:KEY=VALUE,KEY=VALUE`, such as `low_rank:ratio=0.5`.

    Values are read as TOML, and as text where they are none; `a.b=1` sets `b` of the table `a`;
    `a=1|2` puts both into the table `sweep` (`compress.grid`).

    Raises:
        UsageError: a key has no value.
    """
    method, _, rest = text.partition(":")
    step: dict[str, Any] = {"method": method}
    for pair in filter(None, _COMMA.split(rest)):
        key, equals, value = pair.partition("=")
        if not equals:
            raise UsageError(
                f"--method {text}: {pair!r} has no value", allowed="METHOD:KEY=VALUE,KEY=VALUE"
            )
        if "|" in value:
            tried = [_value(one.strip()) for one in value.split("|")]
            step.setdefault(SWEEP, {})[key.strip()] = tried
            continue
        table = step
        *parents, last = key.strip().split(".")
        for parent in parents:
            table = table.setdefault(parent, {})
        table[last] = _value(value.strip())
    return step


def _value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def checked_steps(tables: Sequence[Any], origin: str) -> tuple[Step, ...]:
    """Steps from plain tables.

    Args:
        tables: as TOML or JSON has them.
        origin: where they come from, for errors.

    Raises:
        ConfigError: there are none, or a key or a value is wrong.
    """
    for table in tables:
        if isinstance(table, dict) and SWEEP in table:
            raise ConfigError(
                f"{origin}: {table.get('method')} has several values to try",
                allowed="one value by key, or --sweep",
            )
    if not tables:
        raise ConfigError(f"{origin} holds no [[compress]] table", allowed=", ".join(METHODS))
    try:
        return STEPS.validate_python(list(tables))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = [part for part in first["loc"][1:] if part not in METHODS]
        key = ".".join(str(part) for part in where) or "method"
        got = first.get("ctx", {}).get("tag", first["input"])
        allowed = first.get("ctx", {}).get("expected_tags") or first["msg"]
        raise ConfigError(
            f"{origin}: step {first['loc'][0]}: {key} = {got!r} is not allowed",
            allowed=str(allowed),
            next_step="read docs/compress.md",
        ) from error

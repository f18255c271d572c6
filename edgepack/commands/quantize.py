"""`edgepack quantize`."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgepack.commands.output import out

if TYPE_CHECKING:
    from edgepack.quantize.recipe import QuantizeRecipe
    from edgepack.quantize.run import Outcome

# The names of edgepack/quantize/recipe.py, which is too large to import for --help; a test compares


class Scheme(StrEnum):
    """What to quantize to."""

    INT8 = "int8"
    PER_TENSOR = "int8-per-tensor"
    INT16X8 = "int16x8"
    INT4 = "int4"
    INT2 = "int2"
    BINARY = "binary"
    TERNARY = "ternary"
    SUBBIT = "subbit"
    DYNAMIC = "dynamic"
    FLOAT16 = "float16"


class Io(StrEnum):
    """Type of inputs and outputs."""

    INT8 = "int8"
    UINT8 = "uint8"
    INT16 = "int16"
    FLOAT32 = "float32"


class Calibration(StrEnum):
    """How ranges come from samples."""

    MINMAX = "minmax"
    MOVING_AVERAGE = "moving-average"
    PERCENTILE = "percentile"
    MSE = "mse"
    ENTROPY = "entropy"


def quantize(
    model: Annotated[Path, typer.Argument(help="A float model of any format.", show_default=False)],
    data: Annotated[
        str,
        typer.Option(
            metavar="DATA",
            help="Samples: .npz, .npy, .csv, a folder of pictures or .wav files with data.toml, or "
            "file:function.",
            show_default=False,
        ),
    ],
    destination: Annotated[Path, typer.Option("--out", "-o", help="The .tflite to write.")],
    target: Annotated[
        str | None,
        typer.Option(help="Check that this target's runtimes can run the result."),
    ] = None,
    scheme: Annotated[Scheme, typer.Option(help="What to quantize to.")] = Scheme.INT8,
    io: Annotated[
        Io | None,
        typer.Option(help="Type of inputs and outputs.", show_default="int8, or int16 for int16x8"),
    ] = None,
    calibration: Annotated[
        Calibration, typer.Option(help="How activation ranges come from samples.")
    ] = Calibration.MINMAX,
    percentile: Annotated[
        float, typer.Option(help="Share of values inside, for --calibration percentile.")
    ] = 99.99,
    calibration_samples: Annotated[
        str,
        typer.Option(metavar="N|FROM:TO", help="How many to draw, or which, of the training data."),
    ] = "200",
    evaluate: Annotated[
        str | None,
        typer.Option(
            metavar="FROM:TO",
            help="Which samples to evaluate.",
            show_default="the test split, or what does not calibrate",
        ),
    ] = None,
    recipe: Annotated[
        Path | None,
        typer.Option(help="JSON file of rules (scope, op, scheme); the last that matches counts."),
    ] = None,
    save_recipe: Annotated[
        Path | None, typer.Option(help="Write the rules that were used as a recipe file.")
    ] = None,
    pin: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME:LOW:HIGH", help="Range of a tensor, measured or not."),
    ] = None,
    equalize: Annotated[
        bool, typer.Option("--equalize", help="Give the channels of layers like ranges first.")
    ] = False,
    bias_correction: Annotated[
        bool, typer.Option("--bias-correction", help="Take mean errors of weights out of biases.")
    ] = False,
    adaptive_rounding: Annotated[
        bool,
        typer.Option("--adaptive-rounding", help="Round weights by the error of their output."),
    ] = False,
    qat: Annotated[
        int | None,
        typer.Option(
            metavar="EPOCHS",
            min=1,
            help="Fine-tune for so many passes over the training data, computing as the integer "
            "kernels do.",
        ),
    ] = None,
    learning_rate: Annotated[
        float | None, typer.Option(help="Of --qat, at its first step.", show_default="0.0005")
    ] = None,
    batch_size: Annotated[
        int | None, typer.Option(help="Samples per step of --qat.", min=1, show_default="64")
    ] = None,
    distill: Annotated[
        float | None,
        typer.Option(
            metavar="SHARE",
            help="Share of the loss of --qat that compares with a teacher, not with labels.",
            show_default="0",
        ),
    ] = None,
    teacher: Annotated[
        Path | None,
        typer.Option(help="Float model of any format.", show_default="the model itself"),
    ] = None,
    max_drop: Annotated[
        float | None,
        typer.Option(
            metavar="POINTS",
            min=0.0,
            help="Raise operators to wider schemes, as few as keep the accuracy within this.",
        ),
    ] = None,
    debug: Annotated[
        bool, typer.Option("--debug", help="Rank the operators that lose most, and try repairs.")
    ] = False,
    input_scale: Annotated[
        str | None,
        typer.Option(
            metavar="SCALE:ZERO_POINT", help="What the data's integers stand for, if they do."
        ),
    ] = None,
    metric: Annotated[
        str | None,
        typer.Option(metavar="FILE:FUNCTION", help="A figure of your own, of outputs and labels."),
    ] = None,
    top_k: Annotated[
        int, typer.Option(help="Also count labels among so many largest outputs.", min=2)
    ] = 5,
    device: Annotated[
        str | None,
        typer.Option(
            metavar="TARGET", help="Also evaluate on this board, emulated or at --port, or `host`."
        ),
    ] = None,
    device_samples: Annotated[
        int | None,
        typer.Option(help="So many of the evaluated samples.", min=1, show_default="100"),
    ] = None,
    port: Annotated[
        str | None, typer.Option(help="Serial port of an attached board, for --device.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of every draw.", min=0)] = 0,
    report: Annotated[
        Path | None,
        typer.Option(metavar="FILE.json|FILE.html", help="Also write the whole report."),
    ] = None,
) -> None:
    """Quantize a float model, and measure what that costs in accuracy.

    \b
    Examples:
        edgepack quantize model.keras --data digits.npz -o model.tflite
        edgepack quantize net.tflite --data samples.npz --calibration-samples 0:200
            --evaluate 200:1000 -o net_int8.tflite
        edgepack quantize net.h5 --data photos/ --scheme int16x8 -o net.tflite
        edgepack quantize net.tflite --data d.npz --equalize --bias-correction -o net_int8.tflite
        edgepack quantize net.tflite --data d.npz --recipe rules.json -o mixed.tflite
        edgepack quantize net.keras --data d.npz --scheme int4 --qat 2 -o net_int4.tflite
        edgepack quantize net.tflite --data d.npz --max-drop 0.5 --debug -o net_mixed.tflite
        edgepack quantize net.tflite --data d.npz --device mps2-an386 -o net_int8.tflite
    """
    from edgepack.commands.convert import _check_destination, _write
    from edgepack.commands.quantize_more import (
        clear_work,
        device_column,
        device_settings,
        measured_cost,
        qat_settings,
        report_text,
        work_folder,
    )
    from edgepack.commands.quantize_show import show
    from edgepack.pipeline.quantize import Asked, quantize_any

    settings = _settings(
        scheme=scheme.value,
        io=None if io is None else io.value,
        calibration=calibration.value,
        percentile=percentile,
        calibration_samples=_count(calibration_samples),
        evaluate=evaluate,
        recipe=None if recipe is None else str(recipe),
        pin=dict(_pin(text) for text in pin or ()),
        equalize=equalize,
        bias_correction=bias_correction,
        adaptive_rounding=adaptive_rounding,
        qat=qat_settings(qat, learning_rate, batch_size, distill, teacher, seed),
        max_drop=max_drop,
        debug=debug,
        metric=metric,
        top_k=top_k,
        seed=seed,
    )
    board = device_settings(device, device_samples, port)
    _check_destination(model, destination)
    work = work_folder(destination) if qat is not None else None
    asked = Asked(model, data, settings, real=_real(input_scale), work=work)
    with out().progress() as progress:
        done = quantize_any(asked, progress)
        if max_drop is not None and target is not None:
            done.report["max_drop"]["instructions"] = measured_cost(done, target, progress)
        if board is not None:
            device_column(done, board, settings, progress)
    if target is not None:
        done.report["target"] = _check_target(done, target)
    _write(destination, done.data)
    clear_work(work)
    if report is not None:
        _write(report, report_text(done.report, destination.name, report).encode())
    if save_recipe is not None:
        _write(save_recipe, (json.dumps(done.report["rules"], indent=2) + "\n").encode())
    document = {"model": str(destination), **done.report}
    out().result(document, lambda: show(done, destination))


def _settings(**values: Any) -> QuantizeRecipe:
    from pydantic import ValidationError

    from edgepack.errors import UsageError
    from edgepack.quantize.recipe import QuantizeRecipe

    try:
        return QuantizeRecipe(**values)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        option = "--" + str(first["loc"][0]).replace("_", "-")
        raise UsageError(
            f"{option} {first['input']}: {first['msg']}", next_step="edgepack quantize --help"
        ) from error


def _count(text: str) -> int | str:
    return int(text) if text.isdecimal() else text


def _pin(text: str) -> tuple[str, tuple[float, float]]:
    from edgepack.errors import UsageError

    name, low, high = ("::" + text).rsplit(":", 2) if text.count(":") > 1 else ("", "", "")
    try:
        pair = float(low), float(high)
    except ValueError:
        pair = (0.0, 0.0)
    if not name.lstrip(":") or not pair[0] < pair[1]:
        raise UsageError(f"--pin {text}", allowed="NAME:LOW:HIGH with LOW below HIGH")
    return name.removeprefix("::"), pair


def _real(text: str | None) -> tuple[float, int] | None:
    from edgepack.errors import UsageError

    if text is None:
        return None
    scale, _, zero = text.partition(":")
    try:
        found = float(scale), int(zero or 0)
    except ValueError:
        found = (0.0, 0)
    if not found[0] > 0:
        raise UsageError(f"--input-scale {text}", allowed="SCALE:ZERO_POINT, such as 0.5847029:83")
    return found


def _check_target(done: Outcome, name: str) -> dict[str, Any] | None:
    """Demand that the C runtime can run the result; what it takes of the target's memory.

    Raises:
        UnsupportedError: an operator of the result has no kernel there.
    """
    import tempfile

    from edgepack.errors import UnsupportedError
    from edgepack.inspection import inspect_tflite
    from edgepack.targets import load_target

    target = load_target(name)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.tflite"
        path.write_bytes(done.data)
        found = inspect_tflite(path)
    if found.problems:
        raise UnsupportedError(
            f"{name} cannot run the quantized model: {found.problems[0]}",
            next_step=found.remedies[0] if found.remedies else None,
        )
    return {
        "target": target.id,
        "constant_bytes": found.weight_bytes,
        "arena_bytes": found.arena_bytes,
        "flash_bytes": target.flash_bytes,
        "ram_bytes": target.ram_bytes,
    }

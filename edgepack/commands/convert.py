"""`edgepack convert`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgepack.commands.output import Column, out

if TYPE_CHECKING:
    from edgepack.convert.report import Conversion

# The same as in edgepack/convert/base.py, which is too large to import for --help; a test compares.
_SECONDS = 600.0
_MEMORY_MB = 6144


class To(StrEnum):
    """What to write; the names of `edgepack.convert.outputs.OUTPUTS`."""

    TFLITE = "tflite"
    FLOAT16 = "tflite-float16"
    DYNAMIC = "tflite-dynamic"
    ONNX_QDQ = "onnx-qdq"


def convert(
    model: Annotated[
        Path,
        typer.Argument(
            help="A .keras, .h5, .onnx, .pt2 or .tflite file, a SavedModel's folder, or "
            "file.py:function, which returns a PyTorch or Keras model.",
            show_default=False,
        ),
    ],
    destination: Annotated[Path, typer.Option("--out", "-o", help="The file to write.")],
    to: Annotated[
        To,
        typer.Option(
            help="What to write: the model's own precision, or for phones float16 weights or "
            "int8 weights with float activations; onnx-qdq: an int8 model for ONNX Runtime, "
            "OpenVINO and TensorRT."
        ),
    ] = To.TFLITE,
    input_shape: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME:1x49x10x1",
            help="Fix the shape of an input; repeatable. The batch is 1 unless it stands here.",
        ),
    ] = None,
    keep_nchw: Annotated[
        bool,
        typer.Option(
            "--keep-nchw",
            help="Leave the inputs of an ONNX or PyTorch model channels first; a TRANSPOSE then "
            "runs before the first convolution.",
        ),
    ] = False,
    data: Annotated[
        Path | None,
        typer.Option(
            help="An .npz with real samples to compare source and result on, beside random ones.",
            show_default=False,
        ),
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option(help="Also write the report as JSON to this file.", show_default=False),
    ] = None,
    trust_model_code: Annotated[
        bool,
        typer.Option(
            "--trust-model-code",
            help="Run code that the model file holds (Lambda layers, custom classes). It can do "
            "whatever you can.",
        ),
    ] = False,
    time_limit: Annotated[
        float, typer.Option(help="Seconds after which the converter is stopped.", min=1.0)
    ] = _SECONDS,
    memory_limit: Annotated[
        int, typer.Option(help="Megabytes that the converter may take.", min=256)
    ] = _MEMORY_MB,
) -> None:
    """Convert a model of any format to .tflite, and prove that it computes the same.

    The converter runs in a process of its own. What was converted before and has not changed is
    not converted again (docs/convert.md).

    \b
    Examples:
        edgepack convert model.keras -o model.tflite
        edgepack convert model.h5 -o phone.tflite --to tflite-float16
        edgepack convert net.py:make_model -o model.tflite
        edgepack convert saved_model/ -o model.tflite --input-shape audio:1x16000
        edgepack convert model.keras -o model.tflite --data samples.npz --report report.json
    """
    from edgepack.convert.base import ConvertOptions
    from edgepack.convert.shapes import parse_input_shape
    from edgepack.pipeline.convert import convert_cached

    options = ConvertOptions(
        to=to.value,
        input_shapes=dict(parse_input_shape(text) for text in input_shape or ()),
        trust_model_code=trust_model_code,
        keep_nchw=keep_nchw,
        data=data,
        time_limit=time_limit,
        memory_limit=memory_limit,
    )
    _check_destination(model, destination)
    with out().progress() as progress:
        done = convert_cached(model, options, progress=progress)
    _write(destination, done.path.read_bytes())
    if report is not None:
        _write(report, (_json(done) + "\n").encode())
    out().result(_document(done, destination), lambda: _show(done, destination))


def _check_destination(model: Path, destination: Path) -> None:
    from edgepack.errors import UsageError

    if destination.is_dir():
        raise UsageError(f"--out {destination} is a folder", allowed="the name of a file to write")
    if destination.exists() and model.exists() and destination.samefile(model):
        raise UsageError(f"--out {destination} is the model itself", allowed="another file")


def _write(path: Path, data: bytes) -> None:
    """Write a file whole or not at all."""
    from edgepack.errors import UsageError

    part = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes(data)
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise UsageError(f"cannot write {path}: {error.strerror}") from error


def _json(done: Conversion) -> str:
    import json

    return json.dumps(done.report, indent=2, ensure_ascii=False)


def _document(done: Conversion, destination: Path) -> dict[str, Any]:
    return {
        "model": str(destination),
        "reused": done.reused,
        "seconds": round(done.seconds, 3),
        "report": done.report,
    }


def _show(done: Conversion, destination: Path) -> None:
    o, report = out(), done.report
    for role, name, tensors in (
        ("from", done.source.path.name, report["source"]),
        ("to", destination.name, report["result"]),
    ):
        if tensors is None:
            continue
        ends = [f"{len(tensors[side])} {side}" for side in ("inputs", "outputs")]
        o.line(
            f"{role:<5}{name}: {tensors['format']}, {tensors['parameters']:,} weights, "
            f"{' and '.join(ends)}" + (f"   ({tensors['producer']})" if role == "from" else "")
        )
    for spec in () if done.result is None else done.result.inputs:
        shape = "x".join(map(str, spec.shape)) or "scalar"
        o.line(f"     input {spec.name}: {spec.dtype.value} {shape}")
    nodes = report["nodes"]
    o.line(
        f"     {nodes['source']} operators or layers -> {nodes['converted']} converted -> "
        f"{nodes['final']} after rewriting"
    )
    o.table(
        [Column("operator"), Column("times", right=True)],
        [[name, str(count)] for name, count in report["operators"].items()],
    )
    moved = report["transposes"]
    if moved["all"]:
        o.line(
            f"{moved['all']} TRANSPOSE left, {moved['at_convolutions']} of them in front of or "
            "behind a convolution"
        )
    for entry in report["rewrites"]:
        o.line(f"rewritten: {entry['what']} ({entry['count']}x)")
    for parity in done.parity:
        o.line(f"compared with the source: {parity}")
    for warning in done.warnings:
        o.line(f"warning: {warning}", style="yellow")
    if done.reused:
        o.line(f"unchanged since an earlier conversion: nothing converted ({done.seconds:.1f} s)")
    else:
        times = ", ".join(f"{n} {s:.1f} s" for n, s in report["seconds"].items() if n != "total")
        o.line(f"{report['seconds']['total']:.1f} s: {times}")
    o.line(f"{report['bytes']:,} bytes in {destination}")
    o.note(f"next:  edgepack inspect {destination}")

"""`edgepack build`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from edgepack.commands.explain import read_plan, show_plan
from edgepack.commands.output import Column, out

if TYPE_CHECKING:
    from edgepack.manifest import Manifest


_APPS = "Apps"  # a heading of --help


class Runtime(StrEnum):
    """What runs the model on the device."""

    C = "c"
    TFLM = "tflm"


class Protocol(StrEnum):
    """What the bench firmware speaks."""

    FULL = "full"
    FRAMED = "framed"


class ToolchainName(StrEnum):
    """What compiles."""

    AUTO = "auto"
    GCC = "gcc"
    CLANG = "clang"
    ZIG = "zig"


class Optimize(StrEnum):
    """For boards, what to prefer where kernels differ; for apps, the form of the model."""

    BALANCED = "balanced"
    SPEED = "speed"
    SIZE = "size"
    RAM = "ram"
    AS_IS = "as-is"
    FP16 = "fp16"
    DYNAMIC = "dynamic"
    INT8 = "int8"


_FORMS = (Optimize.AS_IS, Optimize.FP16, Optimize.DYNAMIC, Optimize.INT8)


class InputKind(StrEnum):
    """What an app fills the model's input with."""

    AUTO = "auto"
    IMAGE = "image"
    TENSOR = "tensor"


def build(
    model: Annotated[
        Path, typer.Argument(help="A model: .tflite, or any format that `edgepack convert` takes.")
    ],
    target: Annotated[
        str, typer.Option("--target", "-t", help="A name that `edgepack targets` lists.")
    ],
    directory: Annotated[Path, typer.Option("--out", "-o", help="The project directory to write.")],
    runtime: Annotated[
        Runtime, typer.Option(help="edgepack's generated C, or TFLite Micro.")
    ] = Runtime.C,
    optimize: Annotated[
        Optimize | None,
        typer.Option(
            help="For boards, what to prefer where kernels differ: balanced (the default), speed, "
            "size, ram. For apps, the form of the model: as-is (the default), fp16, dynamic, int8.",
            show_default=False,
        ),
    ] = None,
    protocol: Annotated[
        Protocol,
        typer.Option(
            help="What the firmware speaks: MLPerf Tiny's text protocol and frames, or frames "
            "alone (3 KB less flash)."
        ),
    ] = Protocol.FULL,
    toolchain: Annotated[
        ToolchainName,
        typer.Option(
            help="What compiles for a board; auto takes GCC where it is installed, then clang, "
            "then zig, which pip installs without root rights (docs/toolchains.md)."
        ),
    ] = ToolchainName.AUTO,
    tflm: Annotated[
        Path | None,
        typer.Option(
            help="For runtime tflm: a folder with your build of TensorFlow Lite Micro, or its "
            "library; by default $EDGEPACK_TFLM. Without it, only sources are written.",
            show_default=False,
        ),
    ] = None,
    tflm_arena: Annotated[
        int | None,
        typer.Option(
            help="For runtime tflm: bytes of its arena; by default an estimate.",
            show_default=False,
            min=1024,
        ),
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="The model's name; by default the file's.")
    ] = None,
    task: Annotated[
        str | None,
        typer.Option(
            help="What MLPerf Tiny calls the model: kws01, ic01, vww01, ad01, sww01, or none; by "
            "default recognised by its shapes (docs/mlperf-runner.md).",
            show_default=False,
        ),
    ] = None,
    explain: Annotated[
        bool, typer.Option("--explain", help="Print the kernel and memory of each layer, and why.")
    ] = False,
    no_compile: Annotated[
        bool, typer.Option("--no-compile", help="Stop after writing the sources.")
    ] = False,
    labels: Annotated[
        Path | None,
        typer.Option(
            help="A text file with one label per line, in the order of the scores.",
            show_default=False,
            rich_help_panel=_APPS,
        ),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            help="Samples: they calibrate int8, give accuracies, and become golden vectors.",
            show_default=False,
            rich_help_panel=_APPS,
        ),
    ] = None,
    input_kind: Annotated[
        InputKind,
        typer.Option(
            "--input",
            help="Whether the input is a picture; auto takes one with 3 channels for it.",
            rich_help_panel=_APPS,
        ),
    ] = InputKind.AUTO,
    mean: Annotated[
        str | None,
        typer.Option(
            metavar="X[,X,X]",
            help="What is taken off a pixel of 0 to 255 before it is divided by --std; by default "
            "known from the range of a quantized input.",
            show_default=False,
            rich_help_panel=_APPS,
        ),
    ] = None,
    std: Annotated[
        str | None,
        typer.Option(
            metavar="X[,X,X]",
            help="What a pixel is then divided by.",
            show_default=False,
            rich_help_panel=_APPS,
        ),
    ] = None,
    package: Annotated[
        str | None,
        typer.Option(
            help="The Kotlin package; by default edgepack.models.NAME.",
            show_default=False,
            rich_help_panel=_APPS,
        ),
    ] = None,
    description: Annotated[
        str, typer.Option(help="What the model does.", show_default=False, rich_help_panel=_APPS)
    ] = "",
    model_version: Annotated[
        str, typer.Option(help="The model's version.", rich_help_panel=_APPS)
    ] = "1.0.0",
    author: Annotated[
        str, typer.Option(help="Who made it.", show_default=False, rich_help_panel=_APPS)
    ] = "",
    license: Annotated[
        str, typer.Option(help="Its license.", show_default=False, rich_help_panel=_APPS)
    ] = "",
) -> None:
    """Build firmware for a board, or a module for an app (android, ios, flutter; docs/apps.md).

    For a board DIR gets C sources, image and manifest.json. DIR is written whole or not at all; an
    earlier project in it is replaced.

    \b
    Examples:
        edgepack build model.tflite --target netduinoplus2 --out build/model
        edgepack build model.tflite --target host --out build/host
        edgepack build model.tflite -t mps2-an386 -o build/zig --toolchain zig
        edgepack build model.tflite -t host -o build/tflm --runtime tflm --tflm tflite-micro
        edgepack build model.tflite -t android -o build/app --labels labels.txt --optimize fp16
    """
    from edgepack.targets import app_names

    if target in app_names():
        from edgepack.commands.build_app import AppOptions, build_app_module

        given = {
            "--runtime": runtime is not Runtime.C,
            "--protocol": protocol is not Protocol.FULL,
            "--toolchain": toolchain is not ToolchainName.AUTO,
            "--tflm": tflm is not None,
            "--tflm-arena": tflm_arena is not None,
            "--task": task is not None,
            "--explain": explain,
            "--no-compile": no_compile,
        }
        _refuse(given, f"goes with boards, and {target} is a kind of app")
        options = AppOptions(
            optimize=None if optimize is None else optimize.value,
            name=name,
            labels=labels,
            data=data,
            kind=input_kind.value,
            mean=mean,
            std=std,
            package=package,
            description=description,
            version=model_version,
            author=author,
            license=license,
        )
        build_app_module(model, target, directory, options)
        return
    from edgepack.errors import UsageError
    from edgepack.pipeline.build import BuildRequest, build_project
    from edgepack.pipeline.convert import as_tflite
    from edgepack.targets import load_target

    if explain and runtime is Runtime.TFLM:
        raise UsageError(
            "--explain shows the plan of runtime c; TensorFlow Lite Micro plans on the device"
        )
    load_target(target)  # a misspelt target must not cost a conversion
    given = {
        "--labels": labels is not None,
        "--data": data is not None,
        "--input": input_kind is not InputKind.AUTO,
        "--mean": mean is not None,
        "--std": std is not None,
        "--package": package is not None,
        "--description": bool(description),
        "--model-version": model_version != "1.0.0",
        "--author": bool(author),
        "--license": bool(license),
        f"--optimize {optimize}": optimize in _FORMS,
    }
    _refuse(given, f"goes with apps ({', '.join(app_names())}), and {target} is a board")
    with out().progress() as progress:
        ready = as_tflite(model, progress=progress)
    request = BuildRequest(
        ready.path,
        target,
        runtime.value,
        _preference(optimize),
        name or model.stem,
        protocol.value,
        tflm=tflm,
        tflm_arena=tflm_arena,
        task=task,
        toolchain=toolchain.value,
    )
    with out().progress() as progress:
        manifest = build_project(request, directory, compile_it=not no_compile, progress=progress)
    plan = read_plan(directory, manifest) if explain else None
    document = {
        "project": str(directory),
        "warnings": list(ready.warnings),
        **manifest.model_dump(mode="json"),
    }
    if plan is not None:
        document["plan"] = plan

    def show() -> None:
        if plan is not None:
            show_plan(plan)
        _show(directory, manifest)
        for warning in ready.warnings:
            out().line(f"warning: {warning}", style="yellow")

    out().result(document, show)


def _preference(optimize: Optimize | None) -> Literal["speed", "size", "ram", "balanced"]:
    match optimize:
        case Optimize.SPEED:
            return "speed"
        case Optimize.SIZE:
            return "size"
        case Optimize.RAM:
            return "ram"
        case _:
            return "balanced"


def _refuse(given: dict[str, bool], why: str) -> None:
    """Raise a UsageError about the first option that was given and does not belong."""
    from edgepack.errors import UsageError

    wrong = next((option for option, there in given.items() if there), None)
    if wrong is not None:
        raise UsageError(f"{wrong} {why}", next_step="edgepack build --help")


_ARENA = {
    "c": "activations and scratch memory",
    "tflm": "reserved for TFLM; bench reports what it used",
}


def _show(directory: Path, manifest: Manifest) -> None:
    from edgepack.targets import Kind, load_target

    o, model = out(), manifest.model
    o.line(f"{model.name} for {manifest.target}: {model.macs:,} MACs, {model.weights:,} weights")
    if manifest.sizes is not None:
        sizes = manifest.sizes
        rows = [
            ["flash", f"{sizes.flash_total:,}", ""],
            ["  code", f"{sizes.flash_code:,}", ""],
            ["  weights", f"{sizes.flash_weights:,}", ""],
            ["  tables", f"{sizes.flash_tables:,}", ""],
            ["RAM", f"{sizes.ram_total:,}", ""],
            ["  arena", f"{sizes.ram_arena:,}", _ARENA[manifest.runtime]],
            ["  static", f"{sizes.ram_static:,}", "with the bench firmware's buffers"],
            ["  stack", f"{sizes.ram_stack_reserved:,}", "reserved"],
        ]
        o.table([Column("memory"), Column("bytes", right=True), Column("")], rows)
    if manifest.image is None:
        o.line(f"sources in {directory}")
        if manifest.runtime == "tflm" and manifest.tflm is None:
            o.line(
                "not compiled: there is no TensorFlow Lite Micro to link (--tflm FOLDER, or "
                "EDGEPACK_TFLM; docs/tflm.md)",
                style="yellow",
            )
        elif (directory / "sdkconfig.defaults").is_file():
            o.line(
                "not compiled: this is an ESP-IDF project, and no ESP-IDF is set up in this shell",
                style="yellow",
            )
            o.note(
                "next:  . $IDF_PATH/export.sh, then the same edgepack build again (docs/boards.md)"
            )
        return
    o.line(f"image: {directory / manifest.image}   (build id {manifest.build_id})")
    for kind, name in manifest.files.items():
        o.line(f"{kind:>5}: {directory / name}")
    # a real board runs the image once it is in its flash
    real = load_target(manifest.target).kind is Kind.HARDWARE
    o.note(f"next:  edgepack {'flash' if real else 'bench'} {directory}")

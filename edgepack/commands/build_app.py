"""`edgepack build` for apps: options in, a table of the model's forms out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

from edgepack.commands.output import Column, out

if TYPE_CHECKING:
    from edgepack.pipeline.app_inputs import InputKind
    from edgepack.pipeline.app_variants import Form, Variant
    from edgepack.pipeline.apps import AppResult


@dataclass(frozen=True)
class AppOptions:
    """The options as they were typed."""

    optimize: str | None
    name: str | None
    labels: Path | None
    data: str | None
    kind: str
    mean: str | None
    std: str | None
    package: str | None
    description: str
    version: str
    author: str
    license: str


def build_app_module(model: Path, target: str, directory: Path, options: AppOptions) -> None:
    """Pack a model for an app and show what came of it."""
    from edgepack.pipeline.app_inputs import ImageChoice
    from edgepack.pipeline.apps import AppRequest, build_app

    request = AppRequest(
        model,
        target,
        optimize=_form(options.optimize, target),
        name=options.name,
        labels=options.labels,
        data=options.data,
        image=ImageChoice(
            cast("InputKind", options.kind),
            _numbers("--mean", options.mean),
            _numbers("--std", options.std),
        ),
        description=options.description,
        version=options.version,
        author=options.author,
        license=options.license,
        package=options.package,
    )
    with out().progress() as progress:
        result = build_app(request, directory, progress)
    document = {"project": str(directory), "target": target, **result.as_dict()}
    out().result(document, lambda: _show(directory, target, result))


def _form(optimize: str | None, target: str) -> Form:
    from edgepack.errors import UsageError
    from edgepack.pipeline.app_variants import FORMS

    form = next((f for f in FORMS if f == (optimize or "as-is")), None)
    if form is None:
        raise UsageError(
            f"--optimize {optimize} goes with boards, and {target} is a kind of app",
            allowed=", ".join(FORMS),
        )
    return form


def _numbers(option: str, text: str | None) -> tuple[float, ...]:
    from edgepack.errors import UsageError

    if text is None:
        return ()
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError as error:
        raise UsageError(
            f"{option} {text!r} is no number", allowed="one number, or three with commas between"
        ) from error


def _show(directory: Path, target: str, result: AppResult) -> None:
    o, app = out(), result.app
    o.line(f"{app.name} for {target}: class {app.class_name}, {app.optimize}")
    for role, tensors in (("input", app.inputs), ("output", app.outputs)):
        for t in tensors:
            shape = "x".join(map(str, t.shape)) or "scalar"
            what = f", a picture: (pixel - mean) / std, {_norm(t.image)}" if t.image else ""
            o.line(f"  {role} {t.field}: {t.dtype.value} {shape}{what}")
    rows = [_row(v, v.form == app.optimize) for v in result.variants]
    o.table(
        [
            Column("form"),
            Column("bytes", right=True),
            Column("this computer [us]", right=True),
            Column("accuracy"),
            Column(""),
        ],
        rows,
    )
    for note in result.notes:
        o.line(f"note: {note}", style="yellow")
    o.line(f"{len(app.goldens)} golden vectors by {app.reference}; {len(app.labels)} labels")
    o.note(f"next:  {directory / 'README.md'}")


def _norm(image: object) -> str:
    from edgepack.emit.app import Image

    assert isinstance(image, Image)
    shown = [",".join(f"{v:g}" for v in dict.fromkeys(vs)) for vs in (image.mean, image.std)]
    return f"mean {shown[0]}, std {shown[1]}"


def _row(variant: Variant, chosen: bool) -> list[str]:
    latency = "" if variant.latency_us is None else f"{variant.latency_us.median:,.0f}"
    return [
        variant.form,
        "-" if variant.data is None else f"{len(variant.data):,}",
        latency,
        "" if variant.metric is None else str(variant.metric),
        "in the module" if chosen else variant.note,
    ]

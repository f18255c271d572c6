"""The linker script of a target, from templates/linker.ld.j2."""

from __future__ import annotations

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from edgepack.errors import UsageError
from edgepack.resources import templates_dir
from edgepack.targets import Memory, Target

LINKER_SCRIPT = "linker.ld"
_ACCESS = {"flash": "rx", "ram": "rwx"}


def render_linker_script(target: Target) -> str:
    """The text of linker.ld.

    Raises:
        UsageError: the target has no memory map (the host), so nothing is placed.
    """
    if target.layout is None:
        raise UsageError(f"target {target.id} has no memory map, so it has no linker script")
    environment = Environment(
        loader=FileSystemLoader(templates_dir()),
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        autoescape=False,
    )
    return environment.get_template("linker.ld.j2").render(
        board=target.id,
        memory=[_region(region) for region in target.memory],
        layout=target.layout,
        stack_bytes=target.stack.bytes,
    )


def _region(region: Memory) -> dict[str, str]:
    return {
        "name": region.name,
        "access": _ACCESS[region.kind],
        "origin": f"0x{region.origin:08X}",
        "length": f"0x{region.size:08X}",
    }

"""How many bytes of flash and RAM an image takes, and whether the target has them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edgepack.errors import FitError
from edgepack.manifest import Sizes
from edgepack.targets import Target, load_targets
from edgepack.toolchain.elf import Image, read_image

_BOOT = ".ep_boot"
_CODE = (_BOOT, ".ep_vectors", ".text", ".plt", ".init", ".fini")
_WEIGHTS = ".ep_weights"
_ARENA = ".ep_arena"
_STACK = ".ep_stack"
_WEIGHTS_IN_OBJECT = ".rodata.ep_weights"


@dataclass(frozen=True)
class RegionUse:
    """Bytes used in one memory region, with the parts that make them up, largest first."""

    name: str
    size: int
    used: int
    parts: tuple[tuple[str, int], ...]

    @property
    def missing(self) -> int:
        """Bytes by which it overflows; 0 when it fits."""
        return max(0, self.used - self.size)


def measure(image: Image, target: Target, objects: Sequence[Path] = ()) -> Sizes:
    """The sizes of a linked image, in bytes.

    On a board they come from the output sections of linker.ld. The host's linker merges
    them, so there the weights are those of `objects`, the arena is the symbol `ep_bench_arena`, and
    the stack is the one that the port sets aside.
    """
    weights = sum(s.size for s in image.sections if s.name == _WEIGHTS)
    arena = sum(s.size for s in image.sections if s.name == _ARENA)
    stack = sum(s.size for s in image.sections if s.name == _STACK)
    static = sum(s.size for s in image.sections if s.name in (".data", ".bss"))
    if target.layout is None:
        weights = sum(
            section.size
            for path in objects
            for section in read_image(path).sections
            if section.name.startswith(_WEIGHTS_IN_OBJECT)
        )
        arena = image.symbols.get("ep_bench_arena", (0, 0))[1]
        stack = target.stack.bytes
        static = max(0, static - arena - stack)
    in_flash = sum(s.size for s in image.sections if s.load is not None)
    code = sum(s.size for s in image.sections if s.name in _CODE)
    data = sum(s.size for s in image.sections if s.name == ".data")
    return Sizes(
        flash_total=in_flash,
        flash_code=code,
        flash_weights=weights,
        flash_tables=max(0, in_flash - code - weights - data),
        ram_total=static + arena + stack,
        ram_arena=arena,
        ram_static=static,
        ram_stack_reserved=stack,
    )


def region_use(image: Image, target: Target) -> tuple[RegionUse, ...]:
    """What fills each memory region of the target.

    The linker keeps the names and starts of regions even when they overflow, so a section belongs
    to the region that the layout gives it.
    """
    layout = target.layout
    if layout is None:
        return ()
    uses: dict[str, dict[str, int]] = {region.name: {} for region in target.memory}

    def add(region: str, part: str, size: int) -> None:
        if size:
            uses[region][part] = uses[region].get(part, 0) + size

    for section in image.sections:
        if section.name == _WEIGHTS:
            add(layout.weights, "weights", section.size)
        elif section.name == _BOOT:
            add(layout.boot or layout.code, "code", section.size)
        elif section.name in _CODE:
            add(layout.code, "code", section.size)
        elif section.name == _ARENA:
            add(layout.arena, "arena", section.size)
        elif section.name == _STACK:
            add(layout.stack, "stack", section.size)
        elif section.name == ".bss":
            add(layout.data, "static data", section.size)
        elif section.name == ".data":
            add(layout.data, "static data", section.size)
            add(layout.code, "initial values", section.size)
        else:
            add(layout.code, "tables", section.size)
    return tuple(
        RegionUse(
            region.name,
            region.size,
            sum(uses[region.name].values()),
            tuple(sorted(uses[region.name].items(), key=lambda item: -item[1])),
        )
        for region in target.memory
    )


def check_fit(image: Image, target: Target) -> None:
    """Refuse an image that the target has no room for.

    Raises:
        FitError: by how much each region overflows, what fills it and which targets have room.
    """
    uses = region_use(image, target)
    over = [use for use in uses if use.missing]
    if not over:
        return
    lines = [f"the image does not fit {target.id}:"]
    for use in over:
        parts = ", ".join(f"{name} {size:,}" for name, size in use.parts)
        lines.append(
            f"  {use.name}: needs {use.used:,} bytes of {use.size:,}, "
            f"{use.missing:,} too many ({parts})"
        )
    raise FitError("\n".join(lines), allowed=_roomy(target, uses), next_step=_advice(target, over))


def _kind(target: Target, use: RegionUse) -> str:
    return target.region(use.name).kind


def _roomy(target: Target, uses: tuple[RegionUse, ...]) -> str | None:
    flash = sum(use.used for use in uses if _kind(target, use) == "flash")
    ram = sum(use.used for use in uses if _kind(target, use) == "ram")
    names = [
        other.id
        for other in load_targets()
        if (other.flash_bytes or flash) >= flash and (other.ram_bytes or ram) >= ram
    ]
    return f"targets with room for it: {', '.join(names)}" if names else None


def _advice(target: Target, over: list[RegionUse]) -> str:
    biggest = {use.parts[0][0] for use in over}
    advice = []
    if "weights" in biggest:
        advice.append("prune whole channels or use a narrower model (edgepack compress)")
    if "code" in biggest:
        advice.append('set optimize = "size"')
    if "arena" in biggest:
        advice.append(
            "a smaller input or fewer channels in the layer of the peak (edgepack inspect)"
        )
    if "stack" in biggest or "static data" in biggest:
        advice.append(f"a smaller [stack] in targets/boards/{target.id}.toml")
    return "; ".join(advice) or "choose a larger target (edgepack targets)"

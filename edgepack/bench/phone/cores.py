"""Which cores a benchmark runs on: phones have fast and slow ones, and move programs about."""

from __future__ import annotations

from collections.abc import Sequence

from edgepack.bench.phone.facts import Core
from edgepack.errors import UsageError

CHOICES = ("auto", "prime", "big", "little", "all")


def clusters(cores: Sequence[Core]) -> list[list[Core]]:
    """The cores in groups of one highest frequency, slowest group first."""
    speeds = sorted({core.max_khz for core in cores})
    return [[core for core in cores if core.max_khz == speed] for speed in speeds]


def choose_cores(wanted: str, cores: Sequence[Core], threads: int) -> int | None:
    """The cores as a mask, bit n for core n; None: all that the system gives.

    Args:
        wanted: `prime` (the fastest group), `big` (all but the slowest group), `little` (the
            slowest), `all`, a mask in hex, or `auto`: prime when it has a core for every thread,
            else big.

    Raises:
        UsageError: it is none of these, or names a core that the phone lacks.
    """
    groups = clusters(cores)
    if wanted == "all" or not groups:
        return None if wanted in CHOICES else _mask(wanted, cores)
    big = [core for group in groups[1:] for core in group] or groups[0]
    picked = {"prime": groups[-1], "big": big, "little": groups[0]}
    if wanted == "auto":
        chosen = groups[-1] if len(groups[-1]) >= threads else big
    elif wanted in picked:
        chosen = picked[wanted]
    else:
        return _mask(wanted, cores)
    return sum(1 << core.number for core in chosen)


def in_mask(cores: Sequence[Core], mask: int | None) -> list[Core]:
    """The cores that a mask names."""
    return [core for core in cores if mask is None or mask >> core.number & 1]


def _mask(text: str, cores: Sequence[Core]) -> int:
    try:
        mask = int(text, 16)
    except ValueError:
        mask = 0
    known = sum(1 << core.number for core in cores)
    if mask <= 0 or (known and mask & ~known):
        raise UsageError(
            f"--cpus {text} names no cores of this phone",
            allowed=f"{', '.join(CHOICES)}, or a mask in hex"
            + (f" within {known:x}" if known else ""),
        )
    return mask

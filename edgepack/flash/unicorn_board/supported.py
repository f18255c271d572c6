"""Which targets the unicorn board can play, and how it is installed."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import shlex
import sys

from edgepack.targets import Kind, Target, load_targets

# unicorn 2 has the cores of QEMU 5.0: no Cortex-M55.
CORES = ("cortex-m0", "cortex-m0plus", "cortex-m3", "cortex-m4", "cortex-m7", "cortex-m33")
# The serial ports of uarts.py, by `[uart] kind`.
UARTS = ("cmsdk-uart", "stm32-usart", "nrf51-uart")
# Counters that need SysTick's interrupt, which is not modelled.
_TICKS_BY_INTERRUPT = "port/cortexm/ticks_systick.c"


def unicorn_install() -> str:
    """The command that installs unicorn for the Python that runs edgepack."""
    return f"{shlex.quote(sys.executable)} -m pip install 'edgepack[sim]'"


def unicorn_version() -> str | None:
    """The installed version, or None; nothing is imported."""
    if importlib.util.find_spec("unicorn") is None:
        return None
    try:
        return importlib.metadata.version("unicorn")
    except importlib.metadata.PackageNotFoundError:
        return "?"


def why_not(target: Target) -> str | None:
    """Why the unicorn board cannot play a target, or None."""
    if target.kind is not Kind.EMULATED:
        return f"{target.id} is not an emulated board"
    if target.cpu not in CORES:
        return f"unicorn has no {target.cpu}"
    if target.uart.kind not in UARTS:
        return f"the unicorn board has no model of {target.uart.kind}"
    if _TICKS_BY_INTERRUPT in target.soc.port.sources:
        return "its counter needs SysTick's interrupt, which the unicorn board does not model"
    return None


def runnable() -> tuple[str, ...]:
    """The ids of all targets that it can play."""
    return tuple(target.id for target in load_targets() if why_not(target) is None)

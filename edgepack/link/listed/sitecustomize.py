"""Python imports this at its start where PYTHONPATH has its folder: pyserial lists one more port.

A pseudo-terminal is no USB device, and programs that look for their board by its USB ids do not
find it. `edgepack serve --usb-id` starts such a program with this folder on its path. Only the list
of ports is changed; the port itself is opened as any other.
"""

from __future__ import annotations

import os
import sys
from typing import Any

_PORT = "EDGEPACK_LISTED_PORT"  # its path
_USB_ID = "EDGEPACK_LISTED_USB_ID"  # vendor:product, hexadecimal


def _list_port(path: str, usb_id: str) -> None:
    try:
        from serial.tools import list_ports, list_ports_common
    except ImportError:  # a program without pyserial lists no ports
        return
    others = list_ports.comports
    vendor, product = (int(part, 16) for part in usb_id.split(":"))

    def comports(*args: Any, **kwargs: Any) -> list[Any]:
        port = list_ports_common.ListPortInfo(path)
        port.vid, port.pid = vendor, product
        port.description = "edgepack's emulated board"
        port.hwid = f"USB VID:PID={vendor:04X}:{product:04X}"
        # first, for a program may take the first that fits
        return [port, *(p for p in others(*args, **kwargs) if p.device != path)]

    list_ports.comports = comports


def _import_shadowed() -> None:
    """Run the sitecustomize that this one hides, if the system has one."""
    here = os.path.dirname(os.path.abspath(__file__))  # noqa: PTH100, PTH120 - at the start, cheap
    path = sys.path
    sys.path = [entry for entry in path if os.path.abspath(entry or ".") != here]  # noqa: PTH100
    own = sys.modules.pop("sitecustomize", None)
    try:
        import sitecustomize  # type: ignore[import-not-found]  # noqa: F401
    except ImportError as error:
        if error.name != "sitecustomize":
            raise
    finally:
        sys.path = path
        if own is not None:
            sys.modules["sitecustomize"] = own


if _PORT in os.environ and _USB_ID in os.environ:
    _list_port(os.environ[_PORT], os.environ[_USB_ID])
_import_shadowed()

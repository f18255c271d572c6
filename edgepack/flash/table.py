"""The flash tools by name; a board's record says which ones it takes, in which order."""

from __future__ import annotations

from edgepack.flash.base import FlashTool
from edgepack.flash.host import HostFlash
from edgepack.flash.qemu import QemuFlash

FLASH_TOOLS: tuple[FlashTool, ...] = (QemuFlash(), HostFlash())

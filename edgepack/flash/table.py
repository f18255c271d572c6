"""The flash tools by name; a board's record says which ones it takes, in which order."""

from __future__ import annotations

from edgepack.flash.base import FlashTool
from edgepack.flash.bossac import BossacFlash
from edgepack.flash.esptool import EsptoolFlash
from edgepack.flash.gdb import GdbFlash
from edgepack.flash.host import HostFlash
from edgepack.flash.openocd import OpenocdFlash
from edgepack.flash.pyocd import PyocdFlash
from edgepack.flash.qemu import QemuFlash
from edgepack.flash.stlink import StlinkFlash
from edgepack.flash.stm32loader import Stm32loaderFlash
from edgepack.flash.teensy import TeensyFlash
from edgepack.flash.uf2 import Uf2Flash

FLASH_TOOLS: tuple[FlashTool, ...] = (
    PyocdFlash(),
    OpenocdFlash(),
    StlinkFlash(),
    EsptoolFlash(),
    Stm32loaderFlash(),
    Uf2Flash(),
    BossacFlash(),
    TeensyFlash(),
    GdbFlash(),
    QemuFlash(),
    HostFlash(),
)

"""Putting images on boards, and starting the boards that are processes."""

from edgepack.flash.base import (
    Attempt,
    Capabilities,
    FlashOutcome,
    FlashRequest,
    FlashTool,
    Options,
)
from edgepack.flash.emulator import Emulator, Player, choose_emulator
from edgepack.flash.flash import flash_project, require_image
from edgepack.flash.launch import launch
from edgepack.flash.running import RunningBoard
from edgepack.flash.table import FLASH_TOOLS

__all__ = [
    "FLASH_TOOLS",
    "Attempt",
    "Capabilities",
    "FlashOutcome",
    "FlashRequest",
    "FlashTool",
    "Options",
    "Emulator",
    "Player",
    "RunningBoard",
    "choose_emulator",
    "flash_project",
    "launch",
    "require_image",
]

"""Putting images on boards, and starting the boards that are processes."""

from edgepack.flash.base import Capabilities, FlashOutcome, FlashRequest, FlashTool
from edgepack.flash.flash import flash_project, require_image
from edgepack.flash.launch import launch
from edgepack.flash.running import RunningBoard
from edgepack.flash.table import FLASH_TOOLS

__all__ = [
    "FLASH_TOOLS",
    "Capabilities",
    "FlashOutcome",
    "FlashRequest",
    "FlashTool",
    "RunningBoard",
    "flash_project",
    "launch",
    "require_image",
]

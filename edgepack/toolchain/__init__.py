"""Compilers, the linker script, and what an image is made of."""

from edgepack.toolchain.build import (
    compile_project,
    firmware_files,
    firmware_include_dirs,
    firmware_sources,
)
from edgepack.toolchain.elf import Image, read_image
from edgepack.toolchain.esp_idf import EspIdf
from edgepack.toolchain.image_check import check_image
from edgepack.toolchain.linker import render_linker_script
from edgepack.toolchain.sizes import check_fit, measure
from edgepack.toolchain.table import TOOLCHAINS, find_compiler
from edgepack.toolchain.tflm import find_tflm, tflm_path

__all__ = [
    "TOOLCHAINS",
    "EspIdf",
    "Image",
    "check_fit",
    "check_image",
    "compile_project",
    "find_compiler",
    "find_tflm",
    "firmware_files",
    "firmware_include_dirs",
    "firmware_sources",
    "measure",
    "read_image",
    "render_linker_script",
    "tflm_path",
]

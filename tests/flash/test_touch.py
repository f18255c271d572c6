"""The 1200-baud touch, on a pseudo-terminal, and the search for the port that comes after it."""

from __future__ import annotations

import os
import termios
import tty

import pytest

from edgepack.errors import FlashError
from edgepack.flash.touch import boot_loader_port, touch

pytestmark = pytest.mark.skipif(os.name != "posix", reason="pseudo-terminals are POSIX")


def test_the_port_is_opened_at_1200_baud() -> None:
    master, slave = os.openpty()
    try:
        tty.setraw(slave)
        assert termios.tcgetattr(master)[4] != termios.B1200
        touch(os.ttyname(slave))
        assert termios.tcgetattr(master)[4] == termios.B1200
    finally:
        os.close(master)
        os.close(slave)


def test_a_port_that_is_not_there_is_explained() -> None:
    with pytest.raises(FlashError, match="1200-baud touch") as caught:
        touch("/dev/ttyNOWHERE")
    assert "reset twice" in (caught.value.next_step or "")


A, B = "/dev/ttyACM0", "/dev/ttyACM1"


@pytest.mark.parametrize(
    ("lists", "found"),
    [
        ([{A}, {A}, {A, B}], B),  # a second port appears
        ([{A}, set(), {B}], B),  # the board comes back under another name
        ([{A}, set(), {A}], A),  # under the same one
        ([{B, A}, {B}, {B}, {B, A}], A),  # another board's port is none of its business
        ([{A}] * 3, A),  # it was in its boot loader already
    ],
)
def test_the_boot_loaders_port_is_found(lists: list[set[str]], found: str) -> None:
    before, *later = (frozenset(names) for names in lists)

    def names() -> frozenset[str]:
        return later.pop(0) if len(later) > 1 else later[0]

    assert boot_loader_port(A, before, names=names, timeout=0.6) == found

"""Ports that are missing, busy, refused or pulled out: each is a typed error with a next step."""

from __future__ import annotations

import os
import pty
import socket
import threading
import time
import tty
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgepack.errors import DeviceLostError, DeviceSilentError, EdgepackError, PortError
from edgepack.link.serial_url import open_link


@pytest.fixture
def server() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening


def _url(listening: socket.socket) -> str:
    return f"socket://127.0.0.1:{listening.getsockname()[1]}"


def test_bytes_cross_a_socket_whole_and_in_order(server: socket.socket) -> None:
    link = open_link(_url(server))
    peer, _ = server.accept()
    with peer:
        link.write(b"request", 1.0)
        assert peer.recv(100) == b"request"
        payload = bytes(range(256)) * 300
        threading.Thread(target=peer.sendall, args=(payload,)).start()
        got = b""
        while len(got) < len(payload):
            got += link.read(1.0)
        assert got == payload
        started = time.monotonic()
        assert link.read(0.05) == b""
        assert 0.04 < time.monotonic() - started < 1.0
    link.close()


def test_what_was_sent_before_the_end_is_still_read(server: socket.socket) -> None:
    link = open_link(_url(server))
    peer, _ = server.accept()
    peer.sendall(b"last words")
    peer.close()
    got = b""
    with pytest.raises(DeviceLostError, match="is gone") as caught:
        while True:
            got += link.read(1.0)
    assert got == b"last words"
    assert caught.value.next_step
    link.close()
    link.close()


def test_a_peer_that_takes_nothing(server: socket.socket) -> None:
    link = open_link(_url(server))
    peer, _ = server.accept()
    with peer, pytest.raises(DeviceSilentError, match="took no more bytes"):
        for _ in range(200):
            link.write(bytes(1 << 16), 0.1)
    link.close()


def test_a_terminal_that_vanishes() -> None:
    ours, theirs = pty.openpty()
    tty.setraw(theirs)
    link = open_link(os.ttyname(theirs))
    os.close(theirs)
    os.write(ours, b"hello")
    assert link.read(1.0) == b"hello"
    link.write(b"there", 1.0)
    assert os.read(ours, 100) == b"there"
    link.set_baud(9600)
    assert link.baud == 9600
    os.close(ours)
    with pytest.raises(DeviceLostError):
        for _ in range(3):
            link.read(0.1)
            link.write(b"x", 0.1)
    link.close()


def test_a_port_held_by_another_program() -> None:
    ours, theirs = pty.openpty()
    name = os.ttyname(theirs)
    first = open_link(name)
    with pytest.raises(PortError, match="held by another program"):
        open_link(name)
    first.close()
    open_link(name).close()
    os.close(ours)
    os.close(theirs)


@pytest.mark.parametrize("url", ["no-scheme://x", "socket://127.0.0.1", "spy:nonsense"])
def test_what_is_no_port(url: str) -> None:
    with pytest.raises(PortError) as caught:
        open_link(url, timeout=0.1)
    assert caught.value.allowed or caught.value.next_step


def test_a_missing_port(tmp_path: Path) -> None:
    with pytest.raises(PortError, match="could not be opened"):
        open_link(str(tmp_path / "ttyACM0"))


def test_a_refused_connection_is_tried_again_for_a_while(server: socket.socket) -> None:
    url = _url(server)
    server.close()
    started = time.monotonic()
    with pytest.raises(EdgepackError):
        open_link(url, timeout=0.2)
    assert 0.2 <= time.monotonic() - started < 3.0

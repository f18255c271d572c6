"""adb against loopback phones: every way in which a phone cannot be reached or used."""

from __future__ import annotations

import importlib.util
import os
import socket
import subprocess
import threading
from pathlib import Path

import pytest

from edgepack.errors import UsageError
from edgepack.link.adb_errors import (
    AdbMissingError,
    AdbServerError,
    NoPhoneError,
    OldPhoneError,
    PhoneLostError,
    PhoneOfflineError,
    PhonePermissionError,
    PhoneSilentError,
    PhoneStorageError,
    PhoneTransferError,
    PhoneUnauthorizedError,
    SeveralPhonesError,
    classify,
)
from edgepack.link.adb_phone import AdbPhone
from edgepack.link.adb_program import AdbTiming, choose_phone, find_adb
from edgepack.link.cksum import cksum
from edgepack.pipeline.phone import open_phones
from tests.phone.device import TMP, Fault
from tests.phone.lab import FAST, Lab


def linked(lab: Lab, **options: object) -> AdbPhone:
    phone = lab.phone(**options)
    return AdbPhone(lab.connected(phone), phone.address)


@pytest.mark.parametrize("size", [0, 1, 255, 256, 65536, 70001])
def test_the_checksum_is_that_of_cksum(size: int) -> None:
    data = bytes(i * i % 251 for i in range(size))
    said = subprocess.run(["cksum"], input=data, capture_output=True, check=True).stdout
    assert cksum(data) == int(said.split()[0])


def test_no_adb_names_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    monkeypatch.delenv("ANDROID_HOME", raising=False)
    monkeypatch.delenv("ANDROID_SDK_ROOT", raising=False)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)  # no package adbutils
    with pytest.raises(AdbMissingError) as caught:
        find_adb()
    assert caught.value.next_step == "sudo apt-get install adb"
    assert caught.value.exit_code == 8


def test_no_phone(lab: Lab) -> None:
    with pytest.raises(NoPhoneError, match="no phone is connected"):
        choose_phone(lab.adb(), "auto")
    with pytest.raises(NoPhoneError, match="lists no phone R58M123"):
        choose_phone(lab.adb(), "R58M123")


def test_an_address_that_refuses_is_no_phone_although_adb_exits_with_0(lab: Lab) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    adb = lab.adb(AdbTiming(quick=5.0, connect=0.5))
    with pytest.raises(NoPhoneError, match=f"cannot reach 127.0.0.1:{port}"):
        choose_phone(adb, f"127.0.0.1:{port}")


def test_the_only_phone_is_found_and_of_several_one_must_be_named(lab: Lab) -> None:
    first, second = lab.phone(), lab.phone()
    adb = lab.connected(first)
    assert choose_phone(adb, "auto") == first.address
    adb.connect(second.address, FAST.connect)
    with pytest.raises(SeveralPhonesError) as caught:
        choose_phone(adb, "auto")
    assert first.address in caught.value.message and second.address in caught.value.message
    assert choose_phone(adb, second.address) == second.address
    assert set(open_phones(["all"], adb)[1]) == {first.address, second.address}
    with pytest.raises(UsageError, match="named twice"):
        open_phones([first.address, first.address], adb)


def test_a_phone_that_asks_and_is_told_yes(lab: Lab) -> None:
    phone = lab.phone(auth="ask")
    adb = lab.adb()
    assert choose_phone(adb, phone.address) == phone.address
    assert AdbPhone(adb, phone.address).shell("echo there").stdout == "there\n"


def test_a_phone_that_does_not_trust_this_computer(lab: Lab) -> None:
    phone = lab.phone(auth="refuse")
    with pytest.raises(PhoneUnauthorizedError, match="does not trust this computer"):
        choose_phone(lab.adb(AdbTiming(quick=5.0, connect=1.0)), phone.address)
    with pytest.raises(PhoneUnauthorizedError):
        choose_phone(lab.adb(), "auto")


def test_a_phone_that_never_answers_is_offline(lab: Lab) -> None:
    phone = lab.phone(auth="silent")
    with pytest.raises((PhoneOfflineError, PhoneSilentError)):
        choose_phone(lab.adb(AdbTiming(quick=3.0, connect=1.0)), phone.address)


def test_a_server_of_another_version_is_left_alone() -> None:
    asked: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            connection, _ = listener.accept()
            with connection:
                asked.append(connection.recv(64))
                connection.sendall(b"OKAY00040020")
                connection.recv(64)

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        port = str(listener.getsockname()[1])
        with pytest.raises(AdbServerError, match=r"version 1\.0\.32") as caught:
            find_adb({"ANDROID_ADB_SERVER_PORT": port}, FAST)
        thread.join(5)
    assert asked == [b"000chost:version"]  # and nothing was killed
    assert caught.value.next_step is not None and "kill-server" in caught.value.next_step


def test_something_else_at_the_servers_port() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(64)
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        threading.Thread(target=answer, daemon=True).start()
        port = str(listener.getsockname()[1])
        with pytest.raises(AdbServerError, match="is no adb server"):
            find_adb({"ANDROID_ADB_SERVER_PORT": port}, FAST)


def test_shell_results_are_exact(lab: Lab) -> None:
    link = linked(lab)
    result = link.shell("printf 'one\\ntwo'; echo no >&2; exit 7")
    assert (result.code, result.stdout, result.stderr) == (7, "one\ntwo", "no\n")
    assert link.shell("true").code == 0


@pytest.mark.parametrize("act", ["disconnect", "drop"])
def test_a_command_that_is_cut_off_is_lost_although_adb_exits_with_0(lab: Lab, act: str) -> None:
    phone = lab.phone(faults=[Fault("echo half", act, after=1)])  # type: ignore[arg-type]
    link = AdbPhone(lab.connected(phone), phone.address)
    with pytest.raises(PhoneLostError, match="was lost in: echo half"):
        link.shell("echo half; sleep 0.3; echo whole")


def test_a_command_that_never_ends(lab: Lab) -> None:
    phone = lab.phone(faults=[Fault("echo hang", "hang")])
    link = AdbPhone(lab.connected(phone), phone.address)
    with pytest.raises(PhoneSilentError, match=r"did not finish within 0\.5 s"):
        link.shell("echo hang", timeout=0.5)


def test_files_go_and_come_back_whole(lab: Lab, tmp_path: Path) -> None:
    link = linked(lab)
    data = os.urandom(300_000)
    (tmp_path / "there").write_bytes(data)
    link.push(tmp_path / "there", f"{TMP}/file")
    assert link.pull(f"{TMP}/file", tmp_path / "back") == data


@pytest.mark.parametrize(
    ("act", "error"),
    [
        ("full", PhoneStorageError),
        ("denied", PhonePermissionError),
        ("garble", PhoneTransferError),
        ("disconnect", PhoneLostError),
    ],
)
def test_a_push_that_fails(lab: Lab, tmp_path: Path, act: str, error: type[Exception]) -> None:
    phone = lab.phone(faults=[Fault("push", act)])  # type: ignore[arg-type]
    link = AdbPhone(lab.connected(phone), phone.address)
    (tmp_path / "file").write_bytes(b"x" * 1000)
    with pytest.raises(error):
        link.push(tmp_path / "file", f"{TMP}/file")


@pytest.mark.parametrize(
    ("act", "error"), [("garble", PhoneTransferError), ("disconnect", PhoneLostError)]
)
def test_a_pull_that_fails(lab: Lab, tmp_path: Path, act: str, error: type[Exception]) -> None:
    phone = lab.phone(faults=[Fault("pull", act)])  # type: ignore[arg-type]
    link = AdbPhone(lab.connected(phone), phone.address)
    (phone.tmp / "file").write_bytes(b"y" * 1000)
    with pytest.raises(error):
        link.pull(f"{TMP}/file", tmp_path / "file")


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ("error: device 'ab' not found", PhoneLostError),
        ("error: device offline", PhoneLostError),
        ("adb: error: failed to copy 'a' to 'b': remote write failed: No space left on device",
         PhoneStorageError),
        ("adb: error: failed to copy 'a' to 'b': remote secure_mkdirs failed: Permission denied",
         PhonePermissionError),
        ("error: device unauthorized.\nThis adb server's $ADB_VENDOR_KEYS is not set",
         PhoneUnauthorizedError),
        ("error: cannot connect to daemon at tcp:5037: Connection refused", AdbServerError),
        ("error: more than one device/emulator", SeveralPhonesError),
        ("error: device only supports allocating a pty", OldPhoneError),
    ],
)  # fmt: skip
def test_what_adb_says_has_a_type(words: str, error: type[Exception]) -> None:
    assert isinstance(classify(words, "do", "ab"), error)


def test_what_adb_says_beyond_that_has_none() -> None:
    assert classify("1 file pushed", "do", "ab") is None

"""Releases of adb and of Android against each other: what one offers and the other takes.

Two adb programs are tried where both are there: the system's (Debian's is 29) and the one in the
Python package adbutils (36). They say the same things in other words, and the newer one uses the
second version of the file service, compressed where the phone can.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgepack.bench.project import bench
from edgepack.errors import EdgepackError
from edgepack.link.adb_errors import (
    NoPhoneError,
    OldPhoneError,
    PhoneLostError,
    PhonePermissionError,
    PhoneStorageError,
    PhoneTransferError,
    PhoneUnauthorizedError,
)
from edgepack.link.adb_phone import AdbPhone
from edgepack.link.adb_program import AdbTiming, adb_path, choose_phone
from tests.phone.device import FILES_STAT2, FILES_V1, FILES_V2, FILES_ZSTD, OLDEST, TMP, Act, Fault
from tests.phone.lab import Lab, request_for, running_lab


def _packaged() -> str | None:
    package = importlib.util.find_spec("adbutils")
    if package is None or package.origin is None:
        return None
    return shutil.which(str(Path(package.origin).parent / "binaries" / "adb"))


PROGRAMS = {"system": shutil.which("adb"), "adbutils": _packaged()}


@pytest.fixture(params=list(PROGRAMS))
def any_lab(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Lab]:
    program = PROGRAMS[request.param]
    if program is None:
        pytest.skip(f"no adb of this origin here: {request.param} (make setup)")
    with running_lab(tmp_path, program) as made:
        yield made


def release(lab: Lab) -> int:
    said = subprocess.run([lab.server.program, "version"], capture_output=True, text=True).stdout
    found = re.search(r"^Version (\d+)", said, re.M)
    assert found is not None, said
    return int(found[1])


def test_the_package_stands_in_where_no_adb_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    for variable in ("ANDROID_HOME", "ANDROID_SDK_ROOT"):
        monkeypatch.delenv(variable, raising=False)
    assert adb_path() == PROGRAMS["adbutils"]


@pytest.mark.parametrize(
    ("features", "old_wire", "least", "asked", "instead"),
    [
        (FILES_V1, True, 0, {"STAT", "SEND", "RECV"}, set()),
        (FILES_STAT2, False, 0, {"STA2", "SEND", "RECV"}, set()),
        (FILES_V2, False, 30, {"STA2", "SND2", "RCV2"}, {"STA2", "SEND", "RECV"}),
        (FILES_ZSTD, False, 31, {"STA2", "SND2", "RCV2"}, {"STA2", "SEND", "RECV"}),
    ],
    ids=["files1", "stat2", "files2", "zstd"],
)
def test_files_and_commands_whatever_a_phone_offers(
    any_lab: Lab,
    tmp_path: Path,
    features: str,
    old_wire: bool,
    least: int,
    asked: set[str],
    instead: set[str],
) -> None:
    """`least`: the release of adb from which on it asks so; older ones ask `instead`."""
    phone = any_lab.phone(features=features, old_wire=old_wire, auth="ask")
    link = AdbPhone(any_lab.connected(phone), phone.address)
    data = os.urandom(200_000) + bytes(100_000)
    (tmp_path / "there").write_bytes(data)
    link.push(tmp_path / "there", f"{TMP}/file")
    assert link.pull(f"{TMP}/file", tmp_path / "back") == data
    assert link.shell("echo out; echo no >&2; exit 7").code == 7
    expected = asked if release(any_lab) >= least else instead
    assert set(phone.requests) - {"LST2", "QUIT"} == expected


def test_a_phone_without_the_shell_protocol_is_too_old(any_lab: Lab) -> None:
    phone = any_lab.phone(features=OLDEST)
    link = AdbPhone(any_lab.connected(phone), phone.address)
    with pytest.raises(OldPhoneError) as caught:
        link.shell("echo hello")
    assert caught.value.allowed == "Android 7 or newer"


@pytest.mark.parametrize(
    ("act", "error"),
    [
        ("full", PhoneStorageError),
        ("denied", PhonePermissionError),
        ("garble", PhoneTransferError),
        ("disconnect", PhoneLostError),
    ],
)
@pytest.mark.parametrize(
    "features",
    [pytest.param(FILES_STAT2, marks=pytest.mark.slow), FILES_ZSTD],
    ids=["plain", "zstd"],
)
def test_what_goes_wrong_has_the_same_type_in_every_release(
    any_lab: Lab, tmp_path: Path, features: str, act: Act, error: type[EdgepackError]
) -> None:
    phone = any_lab.phone(features=features, faults=[Fault("push", act)])
    link = AdbPhone(any_lab.connected(phone), phone.address)
    (tmp_path / "file").write_bytes(os.urandom(1000))
    with pytest.raises(error):
        link.push(tmp_path / "file", f"{TMP}/file")
    assert phone.fired


def test_a_command_that_is_cut_off(any_lab: Lab) -> None:
    phone = any_lab.phone(faults=[Fault("echo half", "disconnect", after=1)])
    link = AdbPhone(any_lab.connected(phone), phone.address)
    with pytest.raises(PhoneLostError, match="was lost in: echo half"):
        link.shell("echo half; sleep 0.3; echo whole")


def test_phones_that_cannot_be_used(any_lab: Lab) -> None:
    adb = any_lab.adb(AdbTiming(quick=5.0, connect=1.0))
    with pytest.raises(NoPhoneError, match="no phone is connected"):
        choose_phone(adb, "auto")
    phone = any_lab.phone(auth="refuse")
    with pytest.raises(PhoneUnauthorizedError):
        choose_phone(adb, phone.address)


@pytest.mark.slow
@pytest.mark.needs_oracle
def test_a_whole_run(any_lab: Lab, small_project: Path, tmp_path: Path) -> None:
    phone = any_lab.phone(features=FILES_ZSTD)
    phone.faults.append(Fault("--out", "disconnect"))
    report = bench(request_for(small_project, any_lab.connected(phone), phone, tmp_path))
    assert report.parity is not None and report.parity.mismatched_bytes == 0
    assert len(report.interruptions) == 1 and phone.left() == []

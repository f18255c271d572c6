"""Runs on a loopback phone in which something breaks, in every phase.

Whatever happens, the error has a type, every result that is reported was confirmed by the phone,
and nothing is left there; where it cannot be removed, the message says so.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from edgepack.bench.project import bench
from edgepack.errors import EdgepackError, WrongImageError
from edgepack.link.adb_errors import (
    PhoneLostError,
    PhoneNoExecError,
    PhonePermissionError,
    PhoneProgramError,
    PhoneSilentError,
    PhoneStorageError,
    PhoneTransferError,
)
from edgepack.report.schema import read_run
from tests.phone.device import Fault
from tests.phone.lab import Lab, request_for

pytestmark = pytest.mark.needs_oracle

# What the phone is doing: a piece of the command or of the file's name.
BEFORE = ("getprop", "mkdir", "push /data/local/tmp/edgepack", "cksum", "chmod")
DURING = ("in.bin", "--out", "out.bin", "dumpsys", "--times", "times.bin", "layers.bin", "rm -rf")
QUICK = ("chmod", "--out")


def marked(phases: tuple[str, ...]) -> list[object]:
    return [p if p in QUICK else pytest.param(p, marks=pytest.mark.slow) for p in phases]


@pytest.mark.parametrize("phase", marked(BEFORE))
def test_lost_before_the_program_is_there(
    lab: Lab, small_project: Path, tmp_path: Path, phase: str
) -> None:
    phone = lab.phone()
    adb = lab.connected(phone)
    phone.faults.append(Fault(phase, "disconnect"))
    with pytest.raises(PhoneLostError) as caught:
        bench(request_for(small_project, adb, phone, tmp_path))
    assert phone.fired and phone.address in caught.value.message
    assert phone.left() == []
    assert not (tmp_path / "run.json").exists()


@pytest.mark.parametrize("phase", marked(DURING))
def test_lost_while_it_runs_and_found_again(
    lab: Lab, small_project: Path, tmp_path: Path, phase: str
) -> None:
    phone = lab.phone()
    adb = lab.connected(phone)
    phone.faults.append(Fault(phase, "disconnect"))
    report = bench(request_for(small_project, adb, phone, tmp_path))
    assert phone.fired and phone.left() == []
    assert report.status == "complete" and report.parity is not None
    assert report.parity.mismatched_bytes == 0 and report.parity.samples == 4
    if phase != "rm -rf":  # a clean-up that breaks is tried again, and no interruption of the run
        assert len(report.interruptions) == 1


@pytest.mark.parametrize("phase", [pytest.param(p, marks=pytest.mark.slow) for p in BEFORE])
def test_gone_for_good_before_the_program_is_there(
    lab: Lab, small_project: Path, tmp_path: Path, phase: str
) -> None:
    phone = lab.phone()
    adb = lab.connected(phone)
    phone.faults.append(Fault(phase, "vanish"))
    with pytest.raises(PhoneLostError) as caught:
        bench(request_for(small_project, adb, phone, tmp_path, patience=1.0))
    assert phone.fired and not (tmp_path / "run.json").exists()
    for folder in phone.left():
        assert f"rm -rf /data/local/tmp/{folder}" in caught.value.message


@pytest.mark.parametrize("phase", [pytest.param(p, marks=pytest.mark.slow) for p in DURING])
def test_gone_for_good(lab: Lab, small_project: Path, tmp_path: Path, phase: str) -> None:
    phone = lab.phone()
    adb = lab.connected(phone)
    phone.faults.append(Fault(phase, "vanish"))
    with pytest.raises(EdgepackError) as caught:
        bench(request_for(small_project, adb, phone, tmp_path, patience=1.0))
    assert caught.value.exit_code in (11, 12, 13)
    # it cannot be cleaned, and that is said with the command that does it
    (folder,) = [name for name in phone.left() if name.startswith("edgepack-")]
    report = read_run(tmp_path / "run.json")
    said = caught.value.message + (report.failure.message if report.failure else "")
    assert f"rm -rf /data/local/tmp/{folder}" in said
    assert report.samples.done in (0, 4) and (report.parity is None) == (report.samples.done == 0)


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Fault("ep_phone", "full"), PhoneStorageError),
        (Fault("in.bin", "full"), PhoneStorageError),
        (Fault("in.bin", "denied"), PhonePermissionError),
        (Fault("in.bin", "garble"), PhoneTransferError),
        (Fault("pull /", "garble"), PhoneTransferError),
    ],
    ids=lambda value: f"{value.at}-{value.act}" if isinstance(value, Fault) else "",
)
def test_files_that_the_phone_does_not_take_or_spoils(
    lab: Lab, small_project: Path, tmp_path: Path, fault: Fault, error: type[EdgepackError]
) -> None:
    phone = lab.phone()
    adb = lab.connected(phone)
    phone.faults.append(fault)
    with pytest.raises(error):
        bench(request_for(small_project, adb, phone, tmp_path))
    assert phone.fired == [fault] and phone.left() == []


def test_storage_that_is_full_when_the_outputs_are_written(
    lab: Lab, small_project: Path, tmp_path: Path
) -> None:
    phone = lab.phone(full_outputs=True)
    with pytest.raises(PhoneStorageError, match="No space left on device"):
        bench(request_for(small_project, lab.connected(phone), phone, tmp_path))
    assert phone.left() == []


def test_a_folder_that_runs_no_programs(lab: Lab, small_project: Path, tmp_path: Path) -> None:
    phone = lab.phone(noexec=True)
    with pytest.raises(PhoneNoExecError, match="does not run programs from /data/local/tmp"):
        bench(request_for(small_project, lab.connected(phone), phone, tmp_path))
    assert phone.left() == []


def test_a_folder_that_nobody_may_write(lab: Lab, small_project: Path, tmp_path: Path) -> None:
    phone = lab.phone()
    request = request_for(
        small_project, lab.connected(phone), phone, tmp_path, settings={"parent": "/proc/1/none"}
    )
    with pytest.raises(PhonePermissionError, match="create /proc/1/none"):
        bench(request)
    assert phone.left() == []


def test_a_program_that_hangs_is_given_up_and_ended(
    lab: Lab, small_project: Path, tmp_path: Path
) -> None:
    phone = lab.phone(slow_program=60)
    request = request_for(
        small_project, lab.connected(phone), phone, tmp_path, program_seconds=1.0, patience=0.0
    )
    with pytest.raises(PhoneSilentError, match="did not finish within 1 s"):
        bench(request)
    assert phone.left() == []


def test_outputs_that_the_program_did_not_compute_are_never_reported(
    lab: Lab, small_project: Path, tmp_path: Path
) -> None:
    """The file on the phone changes behind the program's back: only its own CRC can tell."""
    phone = lab.phone(spoiled_outputs=True)
    with pytest.raises(PhoneTransferError, match="samples of outputs with CRC"):
        bench(request_for(small_project, lab.connected(phone), phone, tmp_path))
    assert phone.left() == []
    assert read_run(tmp_path / "run.json").samples.done == 0


@pytest.mark.slow
def test_a_program_of_another_build_is_refused(
    lab: Lab, small_project: Path, tmp_path: Path
) -> None:
    other = tmp_path / "project"
    shutil.copytree(small_project, other)
    manifest = json.loads((other / "manifest.json").read_text())
    manifest["build_id"] = "0123456789abcdef"
    (other / "manifest.json").write_text(json.dumps(manifest))
    phone = lab.phone()
    with pytest.raises(WrongImageError, match="ran another program"):
        bench(request_for(other, lab.connected(phone), phone, tmp_path))
    assert phone.left() == []


@pytest.mark.slow
def test_kernels_that_the_core_lacks(lab: Lab, small_project: Path, tmp_path: Path) -> None:
    phone = lab.phone(cpu="cortex-a53")
    adb = lab.connected(phone)
    report = bench(request_for(small_project, adb, phone, tmp_path))
    assert report.phone is not None and report.phone.variant == "base"
    forced = request_for(small_project, adb, phone, tmp_path, settings={"kernels": "dotprod"})
    with pytest.raises(PhoneProgramError, match="lacks its instructions"):
        bench(forced)
    assert phone.left() == []

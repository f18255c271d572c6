"""What can be wrong with a phone or with adb, each as a type of its own.

adb says what went wrong in words alone, in part on standard output, and in part with exit code 0:
`classify` knows the words of its releases 28 to 36.
"""

from __future__ import annotations

import re

from edgepack.errors import (
    DeviceError,
    DeviceLostError,
    DeviceSilentError,
    EdgepackError,
    MissingToolError,
    PortError,
    UnsupportedError,
)

ADB_INSTALL = "sudo apt-get install adb"


class AdbMissingError(MissingToolError):
    """The adb program is not installed."""


class AdbServerError(PortError):
    """The adb server cannot be started, or is of another version than the adb program."""


class NoPhoneError(PortError):
    """No phone is connected, or not the one that was named."""


class SeveralPhonesError(PortError):
    """Several phones are connected and none was named."""


class PhoneUnauthorizedError(PortError):
    """The phone does not trust this computer's key."""


class PhoneOfflineError(PortError):
    """The phone is known to adb and does not answer."""


class PhoneLostError(DeviceLostError):
    """The connection to the phone broke in the middle of something."""


class PhoneSilentError(DeviceSilentError):
    """The phone did not answer within the time allowed."""


class PhoneStorageError(DeviceError):
    """The phone's storage is full."""


class PhonePermissionError(DeviceError):
    """The phone refuses to write or read a file."""


class PhoneNoExecError(DeviceError):
    """The phone refuses to run a program from where it was put."""


class PhoneTransferError(DeviceError):
    """A file arrived with other bytes than it was sent with."""


class PhoneProgramError(DeviceError):
    """The program on the phone failed."""


class OldPhoneError(UnsupportedError):
    """The phone's Android is older than what edgepack can drive."""


_SEE_PHONES = "adb devices -l"
_FULL = re.compile(r"no space left on device|ENOSPC|disk full", re.I)
_DENIED = re.compile(
    r"permission denied|EACCES|read-only file system|operation not permitted", re.I
)
_GONE = re.compile(
    r"device '[^']*' not found|device offline|no devices/emulators found|error: closed"
    r"|couldn't read from device|failed to (?:read|write) (?:copy response|all bytes)"
    r"|connection reset|protocol fault|broken pipe|device still (?:connecting|offline)"
    r"|failed to get feature set|unexpected EOF|terminating|insufficient data",
    re.I,
)
_UNAUTHORIZED = re.compile(
    r"device (?:still )?(?:unauthorized|authorizing)|failed to authenticate", re.I
)
_SERVER = re.compile(
    r"cannot (?:connect to daemon|bind|start)|failed to start daemon|daemon not running"
    r"|server version|server didn't ACK|ADB server didn't",
    re.I,
)
_PTY = re.compile(r"only supports allocating a pty|remote shell args not supported", re.I)
_SEVERAL = re.compile(r"more than one device", re.I)


def classify(text: str, what: str, serial: str) -> EdgepackError | None:
    """The error that adb's words stand for, or None when they are none of the known ones.

    Args:
        text: what adb printed.
        what: what was being done, such as `push model.tflite`.
        serial: the phone.
    """
    said = _last_line(text)
    if _SERVER.search(text):
        return AdbServerError(f"adb has no server to talk to: {said}", next_step="adb kill-server")
    if _UNAUTHORIZED.search(text):
        return unauthorized(serial)
    if _PTY.search(text):
        return OldPhoneError(
            f"phone {serial} has an Android without adb's shell protocol: {said}",
            allowed="Android 7 or newer",
        )
    if _SEVERAL.search(text):
        return SeveralPhonesError(f"{what}: {said}", next_step="--phone SERIAL")
    if _FULL.search(text):
        return storage_full(what, serial, said)
    if _GONE.search(text):
        return lost(what, serial, said)
    if _DENIED.search(text):
        return PhonePermissionError(
            f"phone {serial} refuses to {what}: {said}",
            next_step=f"adb -s {serial} shell ls -ld /data/local/tmp",
        )
    return None


def unauthorized(serial: str) -> PhoneUnauthorizedError:
    """The phone asks its user whether to trust this computer."""
    return PhoneUnauthorizedError(
        f"phone {serial} does not trust this computer yet",
        allowed="'Allow USB debugging?' answered with Allow on the phone's screen",
        next_step="unlock the phone and accept; if nothing shows: adb kill-server, then reconnect",
    )


def offline(serial: str) -> PhoneOfflineError:
    """adb lists the phone, which does not answer."""
    return PhoneOfflineError(
        f"phone {serial} is offline: adb knows it, and it does not answer",
        next_step=f"adb -s {serial} reconnect   # or plug it in again",
    )


def lost(what: str, serial: str, said: str = "") -> PhoneLostError:
    """The connection broke."""
    tail = f" ({said})" if said else ""
    return PhoneLostError(
        f"phone {serial} was lost in: {what}{tail}",
        next_step="reconnect it, then run the same command again",
    )


def silent(what: str, serial: str, seconds: float) -> PhoneSilentError:
    """Time is up."""
    return PhoneSilentError(
        f"phone {serial} did not finish within {seconds:g} s: {what}",
        next_step="look at its screen, or give it longer with --timeout",
    )


def storage_full(what: str, serial: str, said: str) -> PhoneStorageError:
    """There is no room."""
    return PhoneStorageError(
        f"phone {serial} has no room to {what}: {said}",
        next_step=f"adb -s {serial} shell df /data/local/tmp",
    )


def no_exec(program: str, serial: str, said: str) -> PhoneNoExecError:
    """A program that the phone does not run."""
    return PhoneNoExecError(
        f"phone {serial} does not run programs from {program.rpartition('/')[0]}: {said}",
        allowed="a folder that is not mounted noexec, and that SELinux lets the shell run from",
        next_step=f"adb -s {serial} shell mount | grep /data; or --phone-dir FOLDER",
    )


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return next((x for x in lines if "error" in x.lower()), lines[-1] if lines else "")

"""UF2: the board's boot loader shows up as a drive, and takes the image as a copied file.

The drive is known by its file INFO_UF2.TXT (github.com/microsoft/uf2, README, "Files exposed by
bootloaders"). The boot loader resets the board when the last block has arrived, so a drive that
vanishes is the acknowledgement.
"""

from __future__ import annotations

import getpass
import os
import string
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from edgepack.errors import FlashError
from edgepack.flash.base import Capabilities, FlashOutcome, FlashRequest, Options
from edgepack.flash.files import flash_file
from edgepack.flash.touch import touch

INFO = "INFO_UF2.TXT"
LABELS = Path("/dev/disk/by-label")
_CHUNK = 32 * 1024
_POLL_SECONDS = 0.1


class Uf2Options(Options):
    """`board_id` is how `Board-ID:` in INFO_UF2.TXT begins, `label` the drive's name."""

    board_id: str
    label: str | None = None
    touch: bool = False


_CAPABILITIES = Capabilities(
    formats=("uf2",),
    verifies=False,
    resets=True,
    needs_hardware=True,
    erases=True,
    port_is_firmwares=False,
    needs_volume=True,
    selects_by="the folder where the board's drive is mounted",
)


def mounted_volumes() -> tuple[Path, ...]:
    """The folders at which removable drives are mounted."""
    if sys.platform == "win32":
        drives = (Path(f"{letter}:/") for letter in string.ascii_uppercase)
        return tuple(drive for drive in drives if drive.exists())
    if sys.platform == "darwin":
        return tuple(sorted(Path("/Volumes").glob("*")))
    found = [
        # mount points hold spaces as \040 (fstab(5))
        Path(line.split()[1].replace(r"\040", " "))
        for line in _proc_mounts()
        if line.split()[2:3] in (["vfat"], ["msdos"], ["fuseblk"])
    ]
    user = getpass.getuser()
    for folder in (f"/media/{user}", f"/run/media/{user}", "/mnt"):
        found += sorted(Path(folder).glob("*"))
    return tuple(dict.fromkeys(found))


def _proc_mounts() -> list[str]:
    try:
        return Path("/proc/mounts").read_text("utf-8", "replace").splitlines()
    except OSError:
        return []


@dataclass(frozen=True)
class Uf2Flash:
    """Copies the image to the drive. `wait` and `leave` are seconds."""

    name: str = "uf2"
    capabilities: Capabilities = _CAPABILITIES
    install: str = "nothing to install"
    options: type[Options] = Uf2Options
    volumes: Callable[[], tuple[Path, ...]] = mounted_volumes
    wait: float = 10.0
    leave: float = 20.0

    def missing(self, request: FlashRequest) -> str | None:
        return None

    def command(self, request: FlashRequest) -> tuple[str, ...]:
        options = Uf2Options.model_validate(request.options)
        volume = self._find(request, options)
        where = volume if volume is not None else Path(f"<drive with {INFO} of {options.board_id}>")
        return ("cp", str(flash_file(request, "uf2")), f"{where}{os.sep}")

    def flash(self, request: FlashRequest) -> FlashOutcome:
        """Find the drive, after a touch where the board knows it, and copy.

        Raises:
            FlashError: there is no such drive, or the board did not take the file.
        """
        options = Uf2Options.model_validate(request.options)
        image = flash_file(request, "uf2")
        volume = self._wait_for(request, options)
        command = ("cp", str(image), f"{volume}{os.sep}")
        try:
            self._copy(image, volume, request)
        except OSError as error:
            # the board resets with its last block, sometimes before the last write returns
            if (volume / INFO).is_file():
                raise FlashError(
                    f"{volume} did not take {image.name}: {error}",
                    next_step="unplug the board, start its boot loader again, and repeat",
                ) from error
        self._wait_until_gone(volume, options, image)
        return FlashOutcome(
            tool=self.name,
            command=command,
            summary=f"copied {image.name} to {volume}; the board took it and restarted",
        )

    def _wait_for(self, request: FlashRequest, options: Uf2Options) -> Path:
        volume = self._find(request, options)
        if volume is None and options.touch and request.port is not None:
            request.progress(self.name, None, f"1200-baud touch of {request.port}")
            touch(request.port)
            deadline = time.monotonic() + self.wait
            while volume is None and time.monotonic() < deadline:
                time.sleep(_POLL_SECONDS)
                volume = self._find(request, options)
        if volume is None:
            raise FlashError(
                f"no drive of a boot loader is mounted: none has an {INFO} with "
                f"Board-ID: {options.board_id}",
                next_step=_how_to_mount(options),
            )
        return volume

    def _find(self, request: FlashRequest, options: Uf2Options) -> Path | None:
        """The drive of this board; several are an error, unless the user names one."""
        folders = (Path(request.probe),) if request.probe else self.volumes()
        found = [f for f in folders if (_board_id(f) or "").startswith(options.board_id)]
        if len(found) > 1:
            raise FlashError(
                f"several boards wait in their boot loader: {', '.join(map(str, found))}",
                next_step=f"name one: --probe {found[0]}",
            )
        return found[0] if found else None

    def _copy(self, image: Path, volume: Path, request: FlashRequest) -> None:
        data = image.read_bytes()
        with (volume / image.name).open("wb") as file:
            for start in range(0, len(data), _CHUNK):
                file.write(data[start : start + _CHUNK])
                request.progress(self.name, min(1.0, (start + _CHUNK) / len(data)), "")
            file.flush()
            os.fsync(file.fileno())

    def _wait_until_gone(self, volume: Path, options: Uf2Options, image: Path) -> None:
        deadline = time.monotonic() + self.leave
        while time.monotonic() < deadline:
            if not (volume / INFO).is_file():
                return
            time.sleep(_POLL_SECONDS)
        raise FlashError(
            f"the board still shows its drive {volume} {self.leave:g} s after the copy: its boot "
            f"loader did not accept {image.name}",
            allowed=f"UF2 blocks of the family that {options.board_id} takes",
            next_step="look at INFO_UF2.TXT on the drive, and at [[post]] in the board's record",
        )


def _board_id(folder: Path) -> str | None:
    """`Board-ID:` of a boot loader's drive, or None for any other folder."""
    try:
        text = (folder / INFO).read_text("ascii", "replace")
    except OSError:
        return None
    for line in text.splitlines():
        key, _, value = line.partition(":")
        if key.strip().lower() == "board-id":
            return value.strip()
    return None


def _how_to_mount(options: Uf2Options) -> str:
    label = LABELS / (options.label or "")
    if options.label is not None and label.exists():
        return f"mount it: udisksctl mount -b {label}"
    return "start the boot loader (hold BOOTSEL while plugging in, or press reset twice) and repeat"

"""Opens a phone for a run: its folder and its program; and opens it again after it was lost."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

from edgepack.bench.device import Device
from edgepack.bench.phone.facts import PhoneFacts, read_facts
from edgepack.bench.phone.folder import RemoteFolders
from edgepack.bench.phone.settings import PhoneSettings
from edgepack.errors import EdgepackError
from edgepack.link.adb_errors import PhoneLostError
from edgepack.link.adb_phone import AdbPhone, PhoneLink

# Makes the device of a phone, what it is, and the folder that is there for it.
Start = Callable[[PhoneLink, PhoneFacts, str], Device]


class PhoneConnect:
    """A `Connect` for one phone.

    The first call raises what is wrong with the phone at once. Later calls wait for its return for
    `patience` seconds, and remove what earlier ones could not. `facts` is what the phone said it
    is, None before the first call.
    """

    def __init__(self, settings: PhoneSettings, start: Start) -> None:
        self._settings, self._start = settings, start
        self._link = AdbPhone(settings.adb, settings.serial)
        self._folders = RemoteFolders(self._link, settings.parent, settings.patience)
        self.facts: PhoneFacts | None = None

    @contextlib.contextmanager
    def __call__(self) -> Iterator[Device]:
        """Open it; leaving the block removes everything from the phone."""
        if self.facts is None:
            self.facts = read_facts(self._link)
        else:
            self._await()
        with self._folders.folder() as folder:
            yield self._start(self._link, self.facts, folder)

    def _await(self) -> None:
        seconds = self._settings.patience
        try:
            self._link.wait(seconds)
        except EdgepackError as error:
            remains = self._folders.remains("it is away")
            raise PhoneLostError(
                f"phone {self._settings.serial} did not come back within {seconds:g} s "
                f"({error.message})" + ("" if remains is None else f"; {remains}"),
                next_step="reconnect it, then run the same command again",
            ) from error

"""Opens a phone for a run: its folder and its program; and opens it again after it was lost."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

from edgepack.bench.device import Device
from edgepack.bench.phone.facts import PhoneFacts, read_facts
from edgepack.bench.phone.folder import RemoteFolders
from edgepack.bench.phone.settings import PhoneSettings
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
            self._link.wait(self._settings.patience)
        with self._folders.folder() as folder:
            yield self._start(self._link, self.facts, folder)

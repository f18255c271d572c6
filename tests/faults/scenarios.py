"""From a seed to what goes wrong in one run."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from edgepack.link.faulty import FaultRates
from edgepack.link.proxy import FaultProxy, Incident
from tests.faults.boards import Board

_LATER_SECONDS = 0.3  # a hung board's watchdog
_NO_RATES = FaultRates()


@dataclass(frozen=True)
class Scenario:
    """What goes wrong.

    Attributes:
        kills_host: edgepack's process is killed by an incident.
        held: another program has the port open before.
    """

    name: str
    rates: FaultRates = _NO_RATES
    incidents: tuple[Incident, ...] = ()
    kills_host: bool = False
    held: bool = False
    timers: list[threading.Timer] = field(default_factory=list)


KINDS = (
    "drop",
    "double",
    "flip",
    "garbage",
    "delay",
    "split",
    "everything",
    "bad line",
    "restart",
    "restart on a bad line",
    "another name",
    "another name on a bad line",
    "gone for good",
    "noise",
    "flood",
    "echo of the past",
    "hang",
    "hang with a watchdog",
    "host killed",
    "another program",
    "port held",
)


def make_scenario(seed: int, board: Board, span: int, kill: Callable[[], None]) -> Scenario:
    """What a seed stands for.

    Args:
        seed: any number; its rest by the number of kinds says which.
        board: what incidents restart and hang.
        span: about how many bytes a run without faults passes in both directions.
        kill: ends the host process.
    """
    kind = KINDS[seed % len(KINDS)]
    rng = random.Random(seed)
    rate = rng.choice([0.5, 1, 2, 5]) / 10_000
    at = rng.randrange(span)
    rates = _rates(kind, rate)

    def once(do: Callable[[FaultProxy], None]) -> tuple[Incident, ...]:
        return (Incident(at, do),)

    if kind.startswith("restart"):
        return Scenario(kind, rates, once(lambda proxy: board.restart()))
    if kind.startswith("another name"):
        return Scenario(kind, rates, once(FaultProxy.move))
    if kind == "gone for good":
        return Scenario(kind, rates, once(FaultProxy.vanish))
    if kind in ("noise", "flood"):
        data = rng.randbytes(rng.randrange(1, 300) if kind == "noise" else 100_000)
        return Scenario(kind, rates, once(lambda proxy: proxy.to_host(data)))
    if kind == "echo of the past":
        repeats = (Incident(at + i * span // 7, _echo(rng.randrange(1, 16384))) for i in range(4))
        return Scenario(kind, rates, tuple(repeats))
    if kind.startswith("hang"):
        return _hang(kind, at, board)
    if kind == "host killed":
        return Scenario(kind, rates, once(lambda proxy: kill()), kills_host=True)
    if kind == "port held":
        return Scenario(kind, held=True)
    if kind == "another program":
        words = rng.choice([b"name%", b"profile%timestamp%", b"db load 5%infer 9%results%name%"])
        return Scenario(kind, rates, once(lambda proxy: proxy.to_device(words)))
    return Scenario(kind, rates)


def _rates(kind: str, rate: float) -> FaultRates:
    single = {"drop", "double", "flip", "garbage"}
    if kind in single:
        return FaultRates(**{kind: rate})
    if kind == "delay":
        return FaultRates(pause=rate, pause_seconds=0.06)
    if kind == "split":
        return FaultRates(split=10 * rate)
    if kind in ("everything", "host killed"):
        part = rate / 5
        return FaultRates(part, part, part, part, part / 2, rate, pause_seconds=0.06)
    if kind.endswith("bad line"):
        return FaultRates(rate, rate, rate, rate, 0.0, rate)
    return _NO_RATES


def _echo(count: int) -> Callable[[FaultProxy], None]:
    return lambda proxy: proxy.to_host(proxy.said[-count:])


def _hang(kind: str, at: int, board: Board) -> Scenario:
    timers: list[threading.Timer] = []

    def hang(proxy: FaultProxy) -> None:
        board.hang()
        if kind != "hang":
            timers.append(threading.Timer(_LATER_SECONDS, board.restart))
            timers[0].start()

    return Scenario(kind, _NO_RATES, (Incident(at, hang),), timers=timers)

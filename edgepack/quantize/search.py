"""The cheapest mixture of schemes that keeps the accuracy within a bound.

The ladder is int4, int8, int16x8, float. From the schemes as given, whole rungs are climbed while
even all operators at the next rung miss the bound; on the last rung, as few operators as possible
are raised: those first that take most error out of the model's output for what they cost, by
bisection; then each is lowered again that is not needed. The order is a heuristic, the result is
measured: a cheaper mixture may exist, one that misses the bound is never returned as met.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from edgepack.convert.flatbuffer import read_model
from edgepack.errors import UnsupportedError
from edgepack.models.progress import Progress, silent
from edgepack.quantize.calibrated import Calibrated
from edgepack.quantize.debug_runs import output_noise, reference_outputs
from edgepack.quantize.ptq import PtqOptions, PtqResult
from edgepack.quantize.units import Unit, raised, units
from edgepack.types import Array

STAGE = "search"
LADDER = ("int4", "int8", "int16x8", "float")
_NOISE_SAMPLES = 32  # on which operators are ranked

# A model -> its accuracy in points (of a hundred), higher is better.
Measure = Callable[[PtqResult], float]
Chosen = list[tuple[Unit, str]]


@dataclass(frozen=True)
class Trial:
    """A mixture that was measured: which operators at which scheme, drop in points, bytes."""

    raised: tuple[tuple[str, str], ...]
    drop: float
    bytes: int


@dataclass(frozen=True)
class Mixture:
    """What was found.

    Attributes:
        options, result: the mixture; `options.rules` is its recipe.
        met: whether it keeps the bound.
        drop: in points, on the samples that it was chosen on.
        first: the model as given.
        last: the mixture.
        macs: multiply-accumulates of each scheme in the mixture.
        trials: all that was measured.
    """

    options: PtqOptions
    result: PtqResult
    met: bool
    drop: float
    first: Trial
    last: Trial
    macs: dict[str, int]
    trials: tuple[Trial, ...]

    def as_dict(self) -> dict[str, Any]:
        """As JSON stores it."""
        return {
            "met": self.met,
            "drop_points": self.drop,
            "first": asdict(self.first),
            "last": asdict(self.last),
            "bytes_added": self.last.bytes - self.first.bytes,
            "macs": self.macs,
            "trials": [asdict(trial) for trial in self.trials],
            "rules": self.options.rules.as_dict(),
        }


def search(
    calibrated: Calibrated,
    options: PtqOptions,
    samples: Sequence[tuple[Array, ...]],
    measure: Measure,
    accuracy: float,
    max_drop: float,
    *,
    ladder: Sequence[str] = LADDER,
    progress: Progress = silent,
) -> Mixture:
    """Find the mixture.

    Args:
        calibrated: the float model.
        options: how to quantize where no more is needed.
        samples: to rank operators on, float, batch axis included.
        measure: the accuracy of a model, in points.
        accuracy: of the float model, measured in the same way.
        max_drop: the bound, in points.
        ladder: schemes that the target's runtime has, cheapest first.
        progress: told of each trial.
    """
    return _Search(
        calibrated, options, samples, measure, accuracy, max_drop, ladder, progress
    ).run()


class _Search:
    def __init__(
        self,
        calibrated: Calibrated,
        options: PtqOptions,
        samples: Sequence[tuple[Array, ...]],
        measure: Measure,
        accuracy: float,
        max_drop: float,
        ladder: Sequence[str],
        progress: Progress,
    ) -> None:
        self.calibrated, self.options = calibrated, options
        self.samples = samples[:_NOISE_SAMPLES]
        self.measure, self.accuracy, self.max_drop = measure, accuracy, max_drop
        self.ladder, self.progress = ladder, progress
        self.trials: list[Trial] = []
        self.reference = reference_outputs(calibrated.data, self.samples)

    def run(self) -> Mixture:
        first = self._try([])
        _, result = raised(self.calibrated, self.options, [])
        known = units(read_model(self.calibrated.data), result.plan)
        chosen: Chosen = []
        if first.drop <= self.max_drop:
            return self._mixture(first, first, chosen)
        best = (first, chosen)
        for rung in range(1, len(self.ladder)):
            wanted = self._climb(known, chosen, rung)
            if wanted == chosen:
                continue
            trial = self._try(wanted)
            if trial.drop <= self.max_drop:
                picked = self._lowered(self._fewest(chosen, wanted))
                return self._mixture(first, self._try(picked), picked)
            chosen = wanted
            best = min(best, (trial, wanted), key=lambda b: b[0].drop)
        return self._mixture(first, *best)

    def _climb(self, known: list[Unit], chosen: Chosen, rung: int) -> Chosen:
        """Everything that stands below a rung and has a kernel there, raised to it."""
        scheme = self.ladder[rung]
        now = {unit.name: at for unit, at in chosen}
        wanted = []
        for unit in known:
            at = now.get(unit.name, unit.scheme)
            if self._level(at) < rung and self._has_kernel(unit, scheme):
                at = scheme
            if at != unit.scheme:
                wanted.append((unit, at))
        return wanted

    def _level(self, scheme: str) -> int:
        """Where a scheme stands; one that is on no rung stands below its kind."""
        return self.ladder.index(scheme) if scheme in self.ladder else 0

    def _has_kernel(self, unit: Unit, scheme: str) -> bool:
        try:
            raised(self.calibrated, self.options, [(unit, scheme)])
        except UnsupportedError:
            return False
        return True

    def _fewest(self, base: Chosen, wanted: Chosen) -> Chosen:
        """As few raises of `wanted` over `base` as keep the bound."""
        order = self._ranked(base, wanted)
        low, high = 0, len(order)  # `high` of them are enough, `low` are not
        while high - low > 1:
            middle = (low + high) // 2
            if self._try(_merged(base, order[:middle])).drop <= self.max_drop:
                high = middle
            else:
                low = middle
        return _merged(base, order[:high])

    def _lowered(self, chosen: Chosen) -> Chosen:
        """The same without what is not needed, until no single raise can be taken back."""
        fewer = self._lower_one(chosen)
        while fewer is not None:
            chosen, fewer = fewer, self._lower_one(fewer)
        return chosen

    def _lower_one(self, chosen: Chosen) -> Chosen | None:
        """One operator back as given, or else one rung down; None where the bound forbids it."""
        for unit, scheme in sorted(chosen, key=lambda e: -e[0].macs):
            others = [e for e in chosen if e[0].name != unit.name]
            steps = [others]
            below = self.ladder[self.ladder.index(scheme) - 1]
            if self._level(below) > self._level(unit.scheme) and self._has_kernel(unit, below):
                steps.append(_merged(others, [(unit, below)]))
            for fewer in steps:
                if self._try(fewer).drop <= self.max_drop:
                    return fewer
        return None

    def _ranked(self, base: Chosen, wanted: Chosen) -> Chosen:
        """The raises, those first that remove most noise for their cost."""
        before = {unit.name: at for unit, at in base}
        changed = [e for e in wanted if before.get(e[0].name) != e[1]]
        _, now = raised(self.calibrated, self.options, base)
        noise = self._noise(now)
        total = sum(unit.macs for unit, _ in changed)
        worth = {}
        for index, entry in enumerate(changed):
            self.progress(STAGE, None, f"ranking operators, {index + 1}/{len(changed)}")
            _, made = raised(self.calibrated, self.options, _merged(base, [entry]))
            growth = max(0, len(made.data) - len(now.data)) / len(now.data)
            cost = growth + entry[0].macs / max(1, total)
            worth[entry[0].name] = (noise - self._noise(made)) / max(cost, 1e-6)
        return sorted(changed, key=lambda e: -worth[e[0].name])

    def _noise(self, result: PtqResult) -> float:
        """Error power of the outputs over their signal."""
        found = output_noise(result.data, self.samples, self.reference)
        return 0.0 if found is None else float(10.0 ** (-found / 10.0))

    def _try(self, chosen: Chosen) -> Trial:
        names = tuple((unit.name, scheme) for unit, scheme in chosen)
        for trial in self.trials:
            if trial.raised == names:
                return trial
        _, result = raised(self.calibrated, self.options, chosen)
        drop = float(self.accuracy - self.measure(result))
        trial = Trial(names, drop, len(result.data))
        self.trials.append(trial)
        text = f"{len(names)} operators raised: {drop:+.2f} points lost, {trial.bytes} bytes"
        self.progress(STAGE, None, text)
        return trial

    def _mixture(self, first: Trial, last: Trial, chosen: Chosen) -> Mixture:
        options, result = raised(self.calibrated, self.options, chosen)
        macs: dict[str, int] = {}
        for unit in units(read_model(self.calibrated.data), result.plan):
            macs[unit.scheme] = macs.get(unit.scheme, 0) + unit.macs
        met = last.drop <= self.max_drop
        return Mixture(options, result, met, last.drop, first, last, macs, tuple(self.trials))


def _merged(base: Chosen, more: Chosen) -> Chosen:
    """Raises on top of others, in the order of the operators' first mention."""
    schemes = {unit.name: (unit, scheme) for unit, scheme in (*base, *more)}
    return [schemes[name] for name in sorted(schemes)]

"""Budgets on a target: the model of the device, the search, and (slow) a real board's emulator."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from edgepack.compress.apply import STEPS, apply
from edgepack.compress.channels import groups, trace
from edgepack.compress.context import Context
from edgepack.compress.cost import model_cost, step_macs
from edgepack.compress.device import DeviceModel, Measured
from edgepack.compress.options import FineTune
from edgepack.compress.prune_structured import Config, run
from edgepack.compress.selection import StructuredScope
from edgepack.compress.shrink import shrink
from edgepack.errors import ConfigError, UnsupportedError
from edgepack.models.keras_file import load_keras_file
from edgepack.models.progress import silent
from edgepack.pipeline.device_meter import METER
from tests.compress import networks
from tests.compress.test_structured import data_for
from tests.emulator.test_ports import skip_if_missing

NO_TRAINING = FineTune(epochs=0)


def plain(model: Any, target: str) -> Measured:
    """A device that takes two instructions per multiply-accumulate, and a byte per weight."""
    counted = [count for count in step_macs(trace(model), frozenset()) if count]
    cost = model_cost(model)
    layers = tuple((count, 2.0 * count) for count in counted)
    return Measured(2.0 * cost.macs, 5000 + cost.parameters, 3000, 1000, layers)


def coarse(model: Any, target: str) -> Measured:
    """A device whose kernels compute and store sixteen channels at a time, and rest in between."""
    found, spent, stored = trace(model), 700.0, 9000
    for step, count in zip(found.steps, step_macs(found, frozenset()), strict=True):
        if count:
            channels = len(step.output)
            whole = -(-channels // 3) * 3
            spent += 150 + 1.5 * count * whole / channels
            stored += 40 + count // max(step.positions, 1) * whole // channels
    return Measured(spent, stored, 3000, 1000, ())


@pytest.mark.needs_tf
def test_the_model_of_the_device_is_exact_where_costs_are_linear() -> None:
    model = networks.residual()
    found = trace(model)
    device = DeviceModel(model, found, plain(model, ""))
    gone = frozenset(unit for group in groups(found) for unit in group.units[:2])
    real = plain(shrink(model, found, gone), "")
    figures = device.figures(gone)
    assert figures["instructions"] == pytest.approx(real.instructions)
    assert figures["flash"] == real.flash
    rough = coarse(shrink(model, found, gone), "")
    device.corrected(gone, rough)
    assert device.figures(gone)["flash"] == pytest.approx(rough.flash)


@pytest.mark.needs_tf
def test_the_arena_is_modelled_by_what_is_needed_at_one_time() -> None:
    import keras
    from keras import layers

    image = keras.Input((4, 4, 2))
    x = layers.Conv2D(8, 1, name="wide")(image)  # 128 elements
    y = layers.ReLU()(layers.BatchNormalization()(x))
    y = layers.Conv2D(8, 1, name="branch")(y)
    both = layers.Concatenate()([x, layers.Conv2D(2, 1, name="narrow")(y)])
    model = networks.randomize(keras.Model(image, layers.Conv2D(1, 1, name="end")(both)))
    found = trace(model)
    measured = Measured(0.0, 0, 1300, 300, ())
    device = DeviceModel(model, found, measured)
    # wide, branch and narrow: 128 + 128 + 32; wide, narrow, their concatenation: 128 + 32 + 160
    (group,) = [g for g in groups(found) if g.name == "wide"]
    gone = frozenset(group.units[:4])  # 64 + 128 + 32, and 64 + 32 + 96
    assert device.figures(gone)["ram"] == pytest.approx(1000 + 300 * 224 / 320)


@pytest.mark.needs_tf
@pytest.mark.parametrize("scope", ["layer", "benefit"])
def test_a_budget_is_kept_and_nearly_used(scope: StructuredScope) -> None:
    model = networks.residual()
    before = coarse(model, "")
    context = Context(data_for(model, 5), silent, meter=coarse)
    config = Config(
        budget={"instructions": 0.6, "flash": 0.9 * before.flash}, target="board", scope=scope,
        samples=32, finetune=NO_TRAINING,
    )  # fmt: skip
    outcome = run(model, config, context)
    after = coarse(outcome.model, "")
    shares = [after.instructions / (0.6 * before.instructions), after.flash / (0.9 * before.flash)]
    # one channel of the small network makes up to 0.15
    assert 0.85 <= max(shares) <= 1.0
    assert f"instructions {before.instructions:,.0f} -> {after.instructions:,.0f}" in (
        outcome.device_saving
    )


@pytest.mark.needs_tf
def test_rounds_reach_the_budget_in_equal_shares() -> None:
    model = networks.lenet_300()
    seen: list[float] = []

    def meter(made: Any, target: str) -> Measured:
        seen.append(plain(made, target).instructions)
        return plain(made, target)

    config = Config(
        budget={"instructions": 0.36}, target="board", rounds=2,
        finetune=FineTune(epochs=1),
    )  # fmt: skip
    run(model, config, Context(data_for(model, 3), silent, meter=meter))
    assert 0.5 * seen[0] <= seen[1] <= 0.6 * seen[0]
    assert 0.3 * seen[0] <= seen[-1] <= 0.36 * seen[0]


@pytest.mark.needs_tf
def test_what_cannot_be_is_refused() -> None:
    model = networks.lenet_300()
    config = Config(budget={"flash": 10}, target="board", finetune=NO_TRAINING)
    with pytest.raises(UnsupportedError, match="meter"):
        run(model, config, Context(data_for(model, 3), silent))
    with pytest.raises(ConfigError, match="cannot go"):
        run(model, config, Context(data_for(model, 3), silent, meter=plain))


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"ratio": 0.5, "budget": {"flash": 0.5}, "target": "board"},
        {"budget": {"flash": 0.5}},
        {"ratio": 0.5, "target": "board"},
        {"budget": {"latency": 0.5}, "target": "board"},
        {"budget": {"flash": 0.0}, "target": "board"},
    ],
)
def test_configurations_that_make_no_sense_are_refused(values: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        STEPS.validate_python([{"method": "prune_structured", **values}])


@pytest.mark.slow
@pytest.mark.emulator
@pytest.mark.needs_tf
@pytest.mark.timeout(400)
def test_an_emulated_board_takes_what_the_budget_allows(tmp_path: Path) -> None:
    """From a file to figures that the emulator counted, in the processes that a user gets."""
    import keras
    from keras import layers

    from edgepack.models.dataset import Dataset, Samples, write_dataset

    skip_if_missing("netduinoplus2")
    image = keras.Input((12, 12, 3))
    x = layers.Conv2D(16, 3, padding="same", activation="relu", name="a")(image)
    x = layers.Conv2D(24, 3, strides=2, padding="same", activation="relu", name="b")(x)
    x = layers.GlobalAveragePooling2D()(x)
    model = networks.randomize(keras.Model(image, layers.Dense(4, name="end")(x)))
    model.save(tmp_path / "net.keras")
    x = np.random.default_rng(0).normal(size=(48, 12, 12, 3)).astype(np.float32)
    samples = Samples((x,), np.arange(48) % 4)
    write_dataset(tmp_path / "d.npz", Dataset(samples, samples))
    step = {
        "method": "prune_structured", "budget": {"instructions": 0.5}, "target": "netduinoplus2",
        "finetune": {"epochs": 0},
    }  # fmt: skip
    done = apply(
        load_keras_file(tmp_path / "net.keras"), STEPS.validate_python([step]), tmp_path / "d.npz",
        tmp_path / "out", meter=METER,
    )  # fmt: skip
    saving = done.report["steps"][0]["device_saving"]
    share = float(saving.split("instructions ")[1].split("(")[1].split(" %")[0])
    # one of 16 or 24 channels is 4 to 6 %
    assert 43.0 <= share <= 50.0, saving

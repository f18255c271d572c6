"""Factors against the theory, and split networks against the whole ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from edgepack.compress.context import Context
from edgepack.compress.factor import rank_for, spectrum, svd, tucker2
from edgepack.compress.finetune import FineTune
from edgepack.compress.low_rank import Config, run
from edgepack.errors import ConfigError
from edgepack.models.progress import silent
from tests.compress import networks
from tests.compress.test_structured import inputs_of

NO_TRAINING = FineTune(epochs=0)
NOTHING = Context(None, silent)


def test_svd_is_the_nearest_product() -> None:
    matrix = np.random.default_rng(0).normal(size=(9, 6))
    values = spectrum(matrix, 0)
    for rank in (1, 3, 6):
        a, b = svd(matrix, rank).kernels
        assert a.shape == (9, rank) and b.shape == (rank, 6)
        # Eckart and Young: what is missing are the other singular values
        error = np.linalg.norm(matrix - a @ b)
        assert error == pytest.approx(np.sqrt((values[rank:] ** 2).sum()), abs=1e-12)


def test_tucker_is_exact_at_the_kernels_own_ranks() -> None:
    generator = np.random.default_rng(1)
    core = generator.normal(size=(3, 3, 2, 4))
    a, b = generator.normal(size=(7, 2)), generator.normal(size=(9, 4))
    kernel = np.einsum("hwrs,ir,os->hwio", core, a, b)
    first, middle, last = tucker2(kernel, 2, 4).kernels
    again = np.einsum("ir,hwrs,so->hwio", first[0, 0], middle, last[0, 0])
    np.testing.assert_allclose(again, kernel, atol=1e-12)
    assert rank_for(spectrum(kernel, 2), 1.0 - 1e-9) == 2
    assert rank_for(spectrum(kernel, 3), 1.0 - 1e-9) == 4


def test_rank_for_energy_by_hand() -> None:
    values = np.array([3.0, 2.0, 1.0])  # squares 9, 4, 1 of 14
    assert [rank_for(values, e) for e in (0.5, 9 / 14, 0.65, 13 / 14, 0.93, 1.0)] == [
        1, 1, 2, 2, 3, 3,
    ]  # fmt: skip
    assert rank_for(np.zeros(3), 1.0) == 1


def make_low(model: Any) -> Any:
    """Give every dense layer and convolution rank 2 in inputs and outputs."""
    for layer in model.layers:
        if type(layer).__name__ in ("Dense", "Conv2D"):
            kernel = np.asarray(layer.kernel)
            generator = np.random.default_rng(len(layer.name))
            i, o = (min(2, size) for size in kernel.shape[-2:])
            core = generator.normal(size=(*kernel.shape[:-2], i, o))
            a = generator.normal(size=(kernel.shape[-2], i)) / 3
            b = generator.normal(size=(o, kernel.shape[-1]))
            layer.kernel.assign((a @ core @ b).astype(np.float32))
    return model


@pytest.mark.needs_tf
@pytest.mark.parametrize(
    "make", [networks.lenet_300, networks.convolutions, networks.residual, networks.shared]
)
def test_a_network_of_low_rank_is_split_without_loss(make: Callable[[], Any]) -> None:
    model = make_low(make())
    x = inputs_of(model)
    whole = np.asarray(model(x, training=False))
    outcome = run(model, Config(energy=1.0 - 1e-10, finetune=NO_TRAINING), NOTHING)
    assert outcome.model.count_params() < model.count_params()
    # float32 products of up to a few hundred terms, around `scale`, in another order
    scale = np.abs(whole).max()
    np.testing.assert_allclose(
        np.asarray(outcome.model(x, training=False)), whole, atol=1e-4 * scale
    )


@pytest.mark.needs_tf
def test_a_budget_is_met_and_nearly_used() -> None:
    model = networks.lenet_300()
    outcome = run(model, Config(budget=0.6, finetune=NO_TRAINING), NOTHING)
    left = sum(layer.elements for layer in outcome.layers)
    assert 0.4 * 345 < left <= 0.6 * 345  # 20 * 12 + 12 * 7 + 7 * 3
    kernels = sum(
        int(np.prod(w.shape)) for w in outcome.model.trainable_weights if w.name == "kernel"
    )
    assert kernels == left


@pytest.mark.needs_tf
def test_what_cannot_be_is_refused() -> None:
    model = networks.lenet_300()
    with pytest.raises(ConfigError, match="cannot be met"):
        run(model, Config(budget=0.01, finetune=NO_TRAINING), NOTHING)
    with pytest.raises(ConfigError, match="no layer gets smaller"):
        run(model, Config(ratio=1.0, finetune=NO_TRAINING), NOTHING)
    with pytest.raises(ConfigError, match="finds no layer"):
        run(model, Config(ratio=0.5, kinds=("spatial",)), NOTHING)
    with pytest.raises(ValidationError, match="exactly one"):
        Config(ratio=0.5, energy=0.5)

"""Factors against the theory, and split networks against the whole ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from edgepack.compress.context import Context
from edgepack.compress.factor import cp, rank_for, spectrum, svd, tucker2
from edgepack.compress.low_rank import Config, run
from edgepack.compress.options import FineTune
from edgepack.compress.split import splittable
from edgepack.errors import ConfigError
from edgepack.models.dataset import Dataset, Samples
from edgepack.models.progress import silent
from tests.compress import networks
from tests.compress.test_structured import data_for, inputs_of

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


def test_cp_finds_the_terms_of_a_sum_and_less_error_with_more_terms() -> None:
    generator = np.random.default_rng(2)
    window, a, b = (generator.normal(size=(*size, 3)) for size in ((3, 3), (7,), (9,)))
    kernel = np.einsum("hwr,ir,or->hwio", window, a, b)
    factors = cp(kernel, 3, seed=0, sweeps=500)
    assert [k.shape for k in factors.kernels] == [(1, 1, 7, 3), (3, 3, 3, 1), (1, 1, 3, 9)]
    # sweeps end when one gains a hundred thousandth of the squares
    assert np.linalg.norm(kernel - factors.product()) < 0.02 * np.linalg.norm(kernel)
    noise = generator.normal(size=(3, 3, 6, 8))
    errors = [np.linalg.norm(noise - cp(noise, r, seed=1).product()) for r in (1, 4, 12, 30)]
    assert errors == sorted(errors, reverse=True) and errors[-1] < 0.3 * errors[0]
    np.testing.assert_array_equal(cp(noise, 4, 1).product(), cp(noise, 4, 1).product())


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
def test_a_cp_chain_computes_what_its_kernel_does() -> None:
    model = networks.residual()
    x = inputs_of(model)
    config = Config(ratio=0.6, spatial="cp", kinds=("spatial",), finetune=NO_TRAINING)
    outcome = run(model, config, NOTHING)
    kinds = [type(layer).__name__ for layer in outcome.model.layers]
    split = {change.name: change for change in outcome.layers if "rank" in change.note}
    assert kinds.count("DepthwiseConv2D") == len(split) == 4
    for entry in splittable(model, ("spatial",), (), "cp", 0):
        change = split[entry.layer.name]
        assert change.elements <= 0.6 * entry.kernel.size
        rung = next(rung for rung in entry.ladder if rung.weights == change.elements)
        product = entry.factors(rung).product()
        missed = ((entry.kernel - product) ** 2).sum() / (entry.kernel**2).sum()
        assert missed == pytest.approx(1.0 - rung.energy, abs=1e-6)  # float32 squares
        entry.layer.kernel.assign(product.astype(np.float32))
    whole = np.asarray(model(x, training=False))
    # float32 products in another order
    np.testing.assert_allclose(
        np.asarray(outcome.model(x, training=False)), whole, atol=1e-4 * np.abs(whole).max()
    )


@pytest.mark.needs_tf
def test_a_search_keeps_the_score_and_goes_as_low_as_it_can() -> None:
    model = networks.lenet_300()
    data = data_for(model, 3)
    x = data.train.inputs[0]
    right = np.asarray(model(x)).argmax(axis=1)
    known = Dataset(Samples((x,), right), data.test)  # labels that the network gets all right
    results = {}
    for drop in (0.1, 0.2):
        config = Config(max_drop=drop, samples=len(right), finetune=NO_TRAINING)
        small = run(model, config, Context(known, silent)).model
        share = (np.asarray(small(x)).argmax(axis=1) == right).mean()
        assert share >= 1.0 - drop - 1e-9
        results[drop] = small.count_params()
    assert results[0.2] < results[0.1] < model.count_params()
    # one rank less in the first layer is too little
    config = Config(max_drop=0.1, samples=len(right), finetune=NO_TRAINING)
    outcome = run(model, config, Context(known, silent))
    entries = splittable(model, config.kinds, (), "tucker2", 0)
    rungs = [
        next((r for r in e.ladder if r.weights == change.elements), None)
        for e, change in zip(entries, outcome.layers, strict=True)
    ]
    first = rungs[0]
    assert first is not None and first is not entries[0].ladder[0]
    rungs[0] = entries[0].ladder[entries[0].ladder.index(first) - 1]
    for entry, rung in zip(entries, rungs, strict=True):
        if rung is not None:
            entry.layer.kernel.assign(entry.factors(rung).product().astype(np.float32))
    assert (np.asarray(model(x)).argmax(axis=1) == right).mean() < 0.9


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

"""A student learns what its teacher says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgepack.compress.context import Context
from edgepack.compress.distill import Config, run
from edgepack.compress.options import FineTune
from edgepack.compress.student import narrower
from edgepack.compress.teacher import softened
from edgepack.errors import ConfigError
from edgepack.models.progress import silent
from tests.compress import networks
from tests.compress.test_structured import data_for, names

pytestmark = pytest.mark.needs_tf


def test_softened_outputs_by_hand() -> None:
    logits = np.array([[1.0, 3.0, -2.0]], np.float32)
    exponents = np.exp(logits / 2)
    wanted = np.log(exponents / exponents.sum())
    # float32 of values around 1
    np.testing.assert_allclose(softened(logits, 2.0, logits=True), wanted, atol=1e-6)
    probabilities = np.exp(logits) / np.exp(logits).sum()
    np.testing.assert_allclose(softened(probabilities, 2.0, logits=False), wanted, atol=1e-5)


def test_a_narrower_network_has_its_share_and_no_weights_of_the_other() -> None:
    model = networks.residual()
    small = narrower(model, 0.5)
    assert names(small) == {
        "stem+outer": 4,
        "inner": 2,
        "wide+gate": 5,
        "side": 2,
        "up+skip": 3,
    }
    kernel = np.asarray(model.get_layer("stem").kernel)[..., :4]
    assert not np.isclose(np.asarray(small.get_layer("stem").kernel), kernel).any()


def test_a_student_comes_near_its_teacher_and_not_the_labels() -> None:
    teacher = networks.lenet_300()
    data = data_for(teacher, 3)  # labels that have nothing to do with the samples
    x = data.train.inputs[0]
    wanted = np.asarray(teacher(x))
    student = networks.lenet_300()
    config = Config(
        width=0.7,
        alpha=1.0,
        temperature=2.0,
        finetune=FineTune(epochs=120, learning_rate=0.02),
    )
    outcome = run(student, config, Context(data, silent, lambda: teacher))
    got = np.asarray(outcome.model(x))
    assert (got.argmax(axis=1) == wanted.argmax(axis=1)).mean() > 0.9
    assert (got.argmax(axis=1) == data.train.labels).mean() < 0.7
    np.testing.assert_array_equal(np.asarray(teacher(x)), wanted)  # the teacher learned nothing


def test_a_teacher_must_exist_and_fit(tmp_path: Path) -> None:
    model = networks.lenet_300()
    with pytest.raises(ConfigError, match="no teacher"):
        run(model, Config(), Context(None, silent))
    with pytest.raises(ConfigError, match="does not exist"):
        run(model, Config(teacher="t.keras"), Context(None, silent, folder=tmp_path))
    with pytest.raises(ConfigError, match="teacher's output"):
        run(model, Config(), Context(None, silent, networks.residual))

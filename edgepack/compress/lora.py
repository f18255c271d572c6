"""Low-rank adapters: the weights stay, and a product of two thin matrices is trained beside each.

Hu et al. 2022, "LoRA: low-rank adaptation of large language models", arXiv:2106.09685. A kernel W
[..., outputs] is read as a matrix of its last axis. W + A B takes its place, with A [rest, rank]
drawn at random and B [rank, outputs] zero at first. Afterwards the sum is written into the kernel,
so that the network has no more layers than before. Biases, scales and depthwise kernels stay as
they are; running statistics of normalizations go on running.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from edgepack.compress.reparametrize import Made
from edgepack.errors import ConfigError

ADAPTED = ("kernel", "recurrent_kernel")  # Keras 3's names of weights that mix channels


@dataclass(frozen=True, eq=False)
class Adapters:
    """The variables to train, and the kernels that they make."""

    variables: tuple[Any, ...]
    made: tuple[Made, ...]


def adapters(model: Any, rank: int, seed: int) -> Adapters:
    """Adapters for every kernel in which they have fewer numbers than the kernel itself.

    Args:
        model: a Keras model; its weights are not changed.
        rank: of the products.
        seed: of the random factors, normal with variance 1 / rest.

    Raises:
        ConfigError: no kernel is large enough for this rank, or one has a constraint.
    """
    import keras
    import tensorflow as tf

    generator = np.random.default_rng(seed)
    variables, made = [], []
    for weight in model.trainable_variables:
        shape = tuple(int(size) for size in weight.shape)
        rest = int(np.prod(shape[:-1]))
        if weight.name not in ADAPTED or len(shape) < 2:
            continue
        if rank * (rest + shape[-1]) >= rest * shape[-1]:
            continue
        if weight.constraint is not None:
            raise ConfigError(
                f"finetune.lora_rank does not go with a constraint on {weight.path}: the adapters "
                "would fill the zeros of a weight that is being pruned",
                allowed="0, or adapters in a step of their own before the pruning",
            )
        drawn = generator.normal(0.0, rest**-0.5, (rest, rank)).astype(np.float32)
        a = keras.Variable(drawn, name="lora_a")
        b = keras.Variable(np.zeros((rank, shape[-1]), np.float32), name="lora_b")

        def value(weight: Any = weight, a: Any = a, b: Any = b) -> Any:
            return weight.value + tf.reshape(tf.matmul(a.value, b.value), weight.shape)

        variables += [a, b]
        made.append(Made(weight, value))
    if not made:
        raise ConfigError(
            f"finetune.lora_rank = {rank}: no kernel of the network is larger than its adapters",
            allowed="a smaller rank, or 0 to train the weights themselves",
        )
    return Adapters(tuple(variables), tuple(made))

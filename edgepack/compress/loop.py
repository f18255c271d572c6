"""The one training loop: seeded, with any objective, in any precision, of weights or adapters."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np

from edgepack.compress.augment import Augmentation
from edgepack.compress.lora import adapters
from edgepack.compress.options import FineTune, steps_per_epoch
from edgepack.compress.precision import computing_in, optimizer_for, scaled
from edgepack.compress.reparametrize import Made, forward_with, settle
from edgepack.compress.saves import Saves
from edgepack.errors import ConfigError
from edgepack.models.dataset import Samples
from edgepack.models.keras_run import as_keras

# (the model in training, inputs, labels) -> a scalar; it is compiled, and gradients are taken of it
Objective = Callable[[Callable[[Any], Any], Any, Any], Any]


class StepCallback(Protocol):
    """What is called after every optimizer step; Keras's callbacks fit."""

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Args: the step's number within its epoch, and `loss` in a dictionary."""


def train(
    model: Any,
    objective: Objective,
    samples: Samples,
    config: FineTune,
    *,
    seed: int,
    callbacks: Sequence[StepCallback] = (),
    made: Sequence[Made] = (),
    variables: Sequence[Any] = (),
) -> None:
    """Train a model in place with Adam.

    Args:
        model: a Keras model; weights with a constraint keep to it.
        objective: the loss of a batch.
        samples: with labels; the order in which they come depends on `seed` alone.
        config: how long, how fast, in what precision, and whether adapters are trained.
        seed: of the order, and of the adapters.
        callbacks: called after each step.
        made: weights that are computed from `variables`, and get their last value in the end.
        variables: what is trained besides the model's other weights.

    Raises:
        ConfigError: adapters for weights that are made in another way, or for none at all; samples
            that cannot be augmented.
    """
    import keras
    import tensorflow as tf

    total = steps_per_epoch(config, samples) * config.epochs
    if not total:
        return
    own = {id(entry.weight) for entry in made}
    trained = [w for w in model.trainable_variables if id(w) not in own]
    if config.lora_rank:
        if made:
            raise ConfigError(
                "finetune.lora_rank does not go with a method that trains weights in another form",
                allowed="0",
            )
        low = adapters(model, config.lora_rank, seed)
        trained, made = list(low.variables), low.made
    trained = [*trained, *variables]
    rate = keras.optimizers.schedules.CosineDecay(config.learning_rate, total)
    optimizer = optimizer_for(rate, config.precision)
    optimizer.build(trained)
    forward = forward_with(model, made) if made else lambda x: model(x, training=True)

    # without autograph: it writes source files, and there is no control flow on tensors here
    @tf.function(autograph=False, reduce_retracing=True)  # type: ignore[untyped-decorator]
    def step(x: Any, y: Any) -> Any:
        with tf.GradientTape() as tape:
            loss = objective(forward, x, y)
            if model.losses:
                loss += tf.add_n(model.losses)
            wanted = scaled(optimizer, loss)
        optimizer.apply(tape.gradient(wanted, [v.value for v in trained]), trained)
        return loss

    order, augmented = np.random.default_rng(seed), Augmentation(config.augment, samples, seed)
    inside = {id(variable) for variable in model.variables}
    beside = [variable for variable in trained if id(variable) not in inside]
    saves = Saves([*model.variables, *beside, *optimizer.variables], callbacks)
    with computing_in(model, config.precision):
        done = saves.load()
        for epoch in range(config.epochs):
            shuffled = order.permutation(len(samples))
            if epoch < done:
                continue
            augmented.start(epoch)
            for number, start in enumerate(range(0, len(samples), config.batch_size)):
                batch = augmented(samples.take(shuffled[start : start + config.batch_size]))
                loss = step(as_keras(batch.inputs), batch.labels)
                for callback in callbacks:
                    callback.on_train_batch_end(number, {"loss": loss})
            saves.save(epoch + 1, last=epoch + 1 == config.epochs)
    settle(made)

"""Mixed precision: layers compute in 16 bits while a model is trained, weights stay float32.

Micikevicius et al. 2018, "Mixed precision training", arXiv:1710.03740. What ends the network stays
float32, so that the loss is taken of float32 scores. float16 needs its loss scaled, or small
gradients vanish; bfloat16 has float32's range. Batch normalization takes its statistics in float32
in either case (Keras does).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from edgepack.compress.options import Precision


@contextlib.contextmanager
def computing_in(model: Any, precision: Precision) -> Iterator[None]:
    """Let the layers of a model compute in a precision inside the block."""
    if precision == "float32":
        yield
        return
    import keras

    policy = keras.DTypePolicy(f"mixed_{precision}")
    ends = {id(tensor._keras_history.operation) for tensor in model.outputs}
    layers = [
        layer
        for layer in model._flatten_layers(include_self=False)
        if id(layer) not in ends and layer.dtype_policy.compute_dtype == "float32"
    ]
    before = [layer.dtype_policy for layer in layers]
    for layer in layers:
        layer.dtype_policy = policy
    try:
        yield
    finally:
        for layer, own in zip(layers, before, strict=True):
            layer.dtype_policy = own


def optimizer_for(rate: Any, precision: Precision) -> Any:
    """Adam; for float16 in Keras's dynamic loss scaling, which leaves out a step that overflows."""
    import keras

    adam = keras.optimizers.Adam(rate)
    return keras.optimizers.LossScaleOptimizer(adam) if precision == "float16" else adam


def scaled(optimizer: Any, loss: Any) -> Any:
    """A loss as this optimizer wants its gradients taken."""
    import keras

    scales = isinstance(optimizer, keras.optimizers.LossScaleOptimizer)
    return optimizer.scale_loss(loss) if scales else loss

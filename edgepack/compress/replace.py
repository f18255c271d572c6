"""Put other layers in the place of some layers of a Keras network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from edgepack.compress.channels import functional, layer_weights

# new Keras layers in the order in which they are applied, and their weights as `set_weights` takes
# them
Chain = Sequence[tuple[Any, Sequence[Any]]]


def replace_layers(model: Any, chains: Mapping[str, Chain]) -> Any:
    """A new network in which layers gave way to chains of layers.

    Args:
        model: a Keras model; it keeps its layers.
        chains: by the name of a layer what takes its place. An empty chain passes the input on.

    Returns:
        A Functional model. All layers that stay are copies, weights included.
    """
    import keras

    whole = functional(model)

    def call(layer: Any, *args: Any, **kwargs: Any) -> Any:
        if layer.name not in chains:
            return layer(*args, **kwargs)
        value = args[0]
        for new, _ in chains[layer.name]:
            value = new(value)
        return value

    result = keras.models.clone_model(
        whole,
        clone_function=lambda layer: layer.__class__.from_config(layer.get_config()),
        call_function=call,
    )
    for layer in whole.layers:
        if layer.name in chains:
            for new, values in chains[layer.name]:
                new.set_weights([np.asarray(value, dtype=np.float32) for value in values])
        elif layer_weights(layer):
            result.get_layer(layer.name).set_weights(layer.get_weights())
    return result

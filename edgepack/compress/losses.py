"""Which loss fits a network and its labels."""

from __future__ import annotations

from typing import Any

from edgepack.types import Array


def is_classes(labels: Array) -> bool:
    """Whether labels are class indices, one per sample; otherwise they are numbers to regress."""
    return labels.dtype.kind in "iub" and labels.reshape(len(labels), -1).shape[1] == 1


def ends_in_softmax(model: Any) -> bool:
    """Whether a model gives probabilities; otherwise its outputs are taken as logits."""
    import keras

    last = model.layers[-1]
    return isinstance(last, keras.layers.Softmax) or (
        getattr(last, "activation", None) is keras.activations.softmax
    )


def loss_of(model: Any, labels: Array, name: str | None) -> Any:
    """The Keras loss for these labels: a function of (labels, outputs).

    Args:
        model: whether it ends in a softmax decides if class scores are taken as logits.
        labels: of the training split.
        name: a Keras loss name, or None to choose by the labels.
    """
    import keras

    if name is not None:
        return keras.losses.get(name)
    if is_classes(labels):
        logits = not ends_in_softmax(model)
        return keras.losses.SparseCategoricalCrossentropy(from_logits=logits)
    return keras.losses.MeanSquaredError()

"""What TFLiteConverter's failures mean, in terms of the user's layers."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from edgepack.errors import ConversionError, EdgepackError, UnsupportedError

RECURRENT = ("LSTM", "GRU", "SimpleRNN", "RNN", "ConvLSTM1D", "ConvLSTM2D", "Bidirectional")
# TensorFlow operator -> what a model can use instead
_REWRITES = {
    "Acosh": "log(x + sqrt(x * x - 1))",
    "Asinh": "log(x + sqrt(x * x + 1))",
    "Atanh": "0.5 * log((1 + x) / (1 - x))",
    "Cosh": "0.5 * (exp(x) + exp(-x))",
    "Erf": "keras.activations.gelu(x, approximate=True) or tanh instead of the error function",
    "Erfc": "1 - tanh(1.1284 * x + 0.1028 * x ** 3) is close",
    "Expm1": "exp(x) - 1",
    "FFT": "compute the spectrum in the application",
    "Log1p": "log(1 + x)",
    "Lgamma": "compute it in the application",
    "MatrixInverse": "compute it in the application",
    "Mod": "x - floor(x / y) * y",
    "Multinomial": "draw random numbers in the application",
    "RFFT": "compute the spectrum in the application",
    "RandomStandardNormal": "draw random numbers in the application",
    "RandomUniform": "draw random numbers in the application",
    "Reciprocal": "1.0 / x",
    "Selu": "where(x > 0, 1.0507 * x, 1.7581 * (exp(x) - 1))",
    "Sinh": "0.5 * (exp(x) - exp(-x))",
    "Softplus": "log(1 + exp(x))",
    "Softsign": "x / (1 + abs(x))",
    "Tan": "sin(x) / cos(x)",
    "Unique": "end the model before it and do this step in the application",
}
_OP = re.compile(r"'tf\.(\w+)' op is neither a custom op nor a flex op")
# What Keras and TensorFlow put in front of a layer's name.
_WRAPPER = re.compile(
    r"(functional|sequential|model|StatefulPartitionedCall|PartitionedCall|while|body)(_\d+)*"
)
_LAYER = re.compile(r'fused\["(\w+):", "(?:functional\w*/|sequential\w*/)*([^"@]+)@')


def explain(
    error: Exception, *, integer: bool = False, nodes: Mapping[str, Iterable[str]] | None = None
) -> EdgepackError:
    """A converter exception as an error that names operators and layers.

    Args:
        error: what TFLiteConverter.convert raised; TensorFlow operators without a TFLite kernel
            are found in its text.
        integer: whether integer kernels alone were allowed.
        nodes: of the converted graph, by operator: where the text does not name the layer, the
            names of its nodes do.
    """
    message = str(error)
    operators = sorted(set(_OP.findall(message)))
    if not operators:
        first = next((line for line in message.splitlines() if line.strip()), "no message")
        return ConversionError(f"TFLiteConverter failed: {type(error).__name__}: {first[:400]}")
    layers: dict[str, set[str]] = {}
    for operator, layer in _LAYER.findall(message):
        layers.setdefault(operator, set()).add(layer)
    for operator in operators:
        if operator not in layers and nodes is not None:
            layers[operator] = {layer_of(node) for node in nodes.get(operator, ())} - {""}
    parts = []
    for operator in operators:
        where = ", ".join(sorted(layers.get(operator, set())))
        parts.append(f"{operator} (from {where})" if where else operator)
    advice = [f"{name}: {_REWRITES[name]}" for name in operators if name in _REWRITES]
    return UnsupportedError(
        f"TFLite has no {'integer ' if integer else ''}kernel for {'; '.join(parts)}",
        next_step="; ".join(advice)
        or "replace these layers, or their activations, with ones that TFLite knows",
    )


def layer_of(node: str) -> str:
    """The layer in a graph node's name: `functional_1/odd_1/MatrixInverse` -> `odd`."""
    parts = node.split("/")[:-1]
    while parts and _WRAPPER.fullmatch(parts[0]):
        parts.pop(0)
    return re.sub(r"_\d+$", "", parts[0]) if parts else ""


def crash_hint(layer_classes: Iterable[str]) -> str | None:
    """The next step after a crash of the converter, judged by the model's layers; None if unknown.

    TFLiteConverter is known to end in a segmentation fault on full-integer conversion of recurrent
    layers that become a loop.
    """
    recurrent = sorted(set(layer_classes) & set(RECURRENT))
    if not recurrent:
        return None
    known = f"the model holds {', '.join(recurrent)}, on which TFLiteConverter is known to crash"
    # Tried with TensorFlow 2.21: an unrolled LSTM converts, an unrolled GRU keeps float splits.
    if recurrent == ["LSTM"]:
        return f"{known}: build it with unroll=True and a fixed number of time steps"
    return f"{known}: replace them with convolutions over time, or with an LSTM with unroll=True"

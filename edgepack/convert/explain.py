"""What TFLiteConverter's failures mean, in terms of the user's layers."""

from __future__ import annotations

import re
from collections.abc import Iterable

from edgepack.errors import ConversionError, EdgepackError, UnsupportedError

RECURRENT = ("LSTM", "GRU", "SimpleRNN", "RNN", "ConvLSTM1D", "ConvLSTM2D", "Bidirectional")
_OP = re.compile(r"'tf\.(\w+)' op is neither a custom op nor a flex op")
_LAYER = re.compile(r'fused\["(\w+):", "(?:functional\w*/|sequential\w*/)*([^"@]+)@')


def explain(error: Exception) -> EdgepackError:
    """A converter exception as an error that names operators and layers.

    Args:
        error: what TFLiteConverter.convert raised; TensorFlow operators without a TFLite kernel
            are found in its text.
    """
    message = str(error)
    operators = sorted(set(_OP.findall(message)))
    if not operators:
        first = next((line for line in message.splitlines() if line.strip()), "no message")
        return ConversionError(f"TFLiteConverter failed: {type(error).__name__}: {first[:400]}")
    layers: dict[str, set[str]] = {}
    for operator, layer in _LAYER.findall(message):
        layers.setdefault(operator, set()).add(layer)
    parts = []
    for operator in operators:
        where = ", ".join(sorted(layers.get(operator, set())))
        parts.append(f"{operator} (from {where})" if where else operator)
    return UnsupportedError(
        f"TFLite has no integer kernel for {'; '.join(parts)}",
        next_step="replace these layers, or their activations, with ones that TFLite knows",
    )


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

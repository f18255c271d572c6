"""The explicit table of operators; a test asserts that it and the files agree."""

from __future__ import annotations

from edgepack.ops.add import Add
from edgepack.ops.average_pool_2d import AveragePool2D
from edgepack.ops.conv_2d import Conv2D
from edgepack.ops.depthwise_conv_2d import DepthwiseConv2D
from edgepack.ops.fully_connected import FullyConnected
from edgepack.ops.max_pool_2d import MaxPool2D
from edgepack.ops.reshape import Reshape
from edgepack.ops.shared.base import Op
from edgepack.ops.softmax import Softmax

OPS: dict[str, Op] = {
    op.name: op
    for op in (
        Add(),
        AveragePool2D(),
        Conv2D(),
        DepthwiseConv2D(),
        FullyConnected(),
        MaxPool2D(),
        Reshape(),
        Softmax(),
    )
}

"""The explicit table of operators; a test asserts that it and the files agree."""

from __future__ import annotations

from edgepack.ops.abs import Abs
from edgepack.ops.add import Add
from edgepack.ops.arg_max import ArgMax
from edgepack.ops.arg_min import ArgMin
from edgepack.ops.average_pool_2d import AveragePool2D
from edgepack.ops.cast import Cast
from edgepack.ops.ceil import Ceil
from edgepack.ops.conv_2d import Conv2D
from edgepack.ops.cos import Cos
from edgepack.ops.cumsum import Cumsum
from edgepack.ops.depthwise_conv_2d import DepthwiseConv2D
from edgepack.ops.dequantize import Dequantize
from edgepack.ops.elu import Elu
from edgepack.ops.exp import Exp
from edgepack.ops.floor import Floor
from edgepack.ops.fully_connected import FullyConnected
from edgepack.ops.gelu import Gelu
from edgepack.ops.hard_swish import HardSwish
from edgepack.ops.leaky_relu import LeakyRelu
from edgepack.ops.log import Log
from edgepack.ops.logistic import Logistic
from edgepack.ops.max_pool_2d import MaxPool2D
from edgepack.ops.mean import Mean
from edgepack.ops.neg import Neg
from edgepack.ops.quantize import Quantize
from edgepack.ops.reduce_all import ReduceAll
from edgepack.ops.reduce_max import ReduceMax
from edgepack.ops.reduce_min import ReduceMin
from edgepack.ops.relu import Relu
from edgepack.ops.relu6 import Relu6
from edgepack.ops.relu_n1_to_1 import ReluN1To1
from edgepack.ops.reshape import Reshape
from edgepack.ops.round import Round
from edgepack.ops.rsqrt import Rsqrt
from edgepack.ops.shared.base import Op
from edgepack.ops.sin import Sin
from edgepack.ops.softmax import Softmax
from edgepack.ops.sqrt import Sqrt
from edgepack.ops.square import Square
from edgepack.ops.sum import Sum
from edgepack.ops.tanh import Tanh

OPS: dict[str, Op] = {
    op.name: op
    for op in (
        Abs(),
        Add(),
        ArgMax(),
        ArgMin(),
        AveragePool2D(),
        Cast(),
        Ceil(),
        Conv2D(),
        Cos(),
        Cumsum(),
        DepthwiseConv2D(),
        Dequantize(),
        Elu(),
        Exp(),
        Floor(),
        FullyConnected(),
        Gelu(),
        HardSwish(),
        LeakyRelu(),
        Log(),
        Logistic(),
        MaxPool2D(),
        Mean(),
        Neg(),
        Quantize(),
        ReduceAll(),
        ReduceMax(),
        ReduceMin(),
        Relu(),
        Relu6(),
        ReluN1To1(),
        Reshape(),
        Round(),
        Rsqrt(),
        Sin(),
        Softmax(),
        Sqrt(),
        Square(),
        Sum(),
        Tanh(),
    )
}

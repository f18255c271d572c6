"""The explicit table of operators; a test asserts that it and the files agree."""

from __future__ import annotations

from edgepack.ops.abs import Abs
from edgepack.ops.add import Add
from edgepack.ops.add_n import AddN
from edgepack.ops.arg_max import ArgMax
from edgepack.ops.arg_min import ArgMin
from edgepack.ops.assign_variable import AssignVariable
from edgepack.ops.average_pool_2d import AveragePool2D
from edgepack.ops.batch_matmul import BatchMatmul
from edgepack.ops.batch_to_space_nd import BatchToSpaceNd
from edgepack.ops.broadcast_to import BroadcastTo
from edgepack.ops.call_once import CallOnce
from edgepack.ops.cast import Cast
from edgepack.ops.ceil import Ceil
from edgepack.ops.concatenation import Concatenation
from edgepack.ops.conv_2d import Conv2D
from edgepack.ops.cos import Cos
from edgepack.ops.cumsum import Cumsum
from edgepack.ops.depth_to_space import DepthToSpace
from edgepack.ops.depthwise_conv_2d import DepthwiseConv2D
from edgepack.ops.dequantize import Dequantize
from edgepack.ops.div import Div
from edgepack.ops.dynamic_update_slice import DynamicUpdateSlice
from edgepack.ops.elu import Elu
from edgepack.ops.embedding_lookup import EmbeddingLookup
from edgepack.ops.equal import Equal
from edgepack.ops.exp import Exp
from edgepack.ops.expand_dims import ExpandDims
from edgepack.ops.fill import Fill
from edgepack.ops.floor import Floor
from edgepack.ops.floor_div import FloorDiv
from edgepack.ops.floor_mod import FloorMod
from edgepack.ops.fully_connected import FullyConnected
from edgepack.ops.gather import Gather
from edgepack.ops.gather_nd import GatherNd
from edgepack.ops.gelu import Gelu
from edgepack.ops.greater import Greater
from edgepack.ops.greater_equal import GreaterEqual
from edgepack.ops.hard_swish import HardSwish
from edgepack.ops.if_ import If
from edgepack.ops.l2_normalization import L2Normalization
from edgepack.ops.l2_pool_2d import L2Pool2D
from edgepack.ops.leaky_relu import LeakyRelu
from edgepack.ops.less import Less
from edgepack.ops.less_equal import LessEqual
from edgepack.ops.log import Log
from edgepack.ops.log_softmax import LogSoftmax
from edgepack.ops.logical_and import LogicalAnd
from edgepack.ops.logical_not import LogicalNot
from edgepack.ops.logical_or import LogicalOr
from edgepack.ops.logistic import Logistic
from edgepack.ops.max_pool_2d import MaxPool2D
from edgepack.ops.maximum import Maximum
from edgepack.ops.mean import Mean
from edgepack.ops.minimum import Minimum
from edgepack.ops.mirror_pad import MirrorPad
from edgepack.ops.mul import Mul
from edgepack.ops.neg import Neg
from edgepack.ops.not_equal import NotEqual
from edgepack.ops.pack import Pack
from edgepack.ops.pad import Pad
from edgepack.ops.padv2 import PadV2
from edgepack.ops.pow import Pow
from edgepack.ops.prelu import Prelu
from edgepack.ops.quantize import Quantize
from edgepack.ops.read_variable import ReadVariable
from edgepack.ops.reduce_all import ReduceAll
from edgepack.ops.reduce_max import ReduceMax
from edgepack.ops.reduce_min import ReduceMin
from edgepack.ops.relu import Relu
from edgepack.ops.relu6 import Relu6
from edgepack.ops.relu_n1_to_1 import ReluN1To1
from edgepack.ops.reshape import Reshape
from edgepack.ops.resize_bilinear import ResizeBilinear
from edgepack.ops.resize_nearest_neighbor import ResizeNearestNeighbor
from edgepack.ops.reverse_v2 import ReverseV2
from edgepack.ops.round import Round
from edgepack.ops.rsqrt import Rsqrt
from edgepack.ops.select import Select
from edgepack.ops.select_v2 import SelectV2
from edgepack.ops.shape import ShapeOp
from edgepack.ops.shared.base import Op
from edgepack.ops.sin import Sin
from edgepack.ops.slice import Slice
from edgepack.ops.softmax import Softmax
from edgepack.ops.space_to_batch_nd import SpaceToBatchNd
from edgepack.ops.space_to_depth import SpaceToDepth
from edgepack.ops.split import Split
from edgepack.ops.split_v import SplitV
from edgepack.ops.sqrt import Sqrt
from edgepack.ops.square import Square
from edgepack.ops.squared_difference import SquaredDifference
from edgepack.ops.squeeze import Squeeze
from edgepack.ops.strided_slice import StridedSlice
from edgepack.ops.sub import Sub
from edgepack.ops.sum import Sum
from edgepack.ops.svdf import Svdf
from edgepack.ops.tanh import Tanh
from edgepack.ops.tile import Tile
from edgepack.ops.transpose import Transpose
from edgepack.ops.transpose_conv import TransposeConv
from edgepack.ops.unidirectional_sequence_lstm import UnidirectionalSequenceLstm
from edgepack.ops.unpack import Unpack
from edgepack.ops.var_handle import VarHandle
from edgepack.ops.while_ import While
from edgepack.ops.zeros_like import ZerosLike

OPS: dict[str, Op] = {
    op.name: op
    for op in (
        Abs(),
        Add(),
        AddN(),
        ArgMax(),
        ArgMin(),
        AssignVariable(),
        AveragePool2D(),
        BatchMatmul(),
        BatchToSpaceNd(),
        BroadcastTo(),
        CallOnce(),
        Cast(),
        Ceil(),
        Concatenation(),
        Conv2D(),
        Cos(),
        Cumsum(),
        DepthToSpace(),
        DepthwiseConv2D(),
        Dequantize(),
        Div(),
        DynamicUpdateSlice(),
        Elu(),
        EmbeddingLookup(),
        Equal(),
        Exp(),
        ExpandDims(),
        Fill(),
        Floor(),
        FloorDiv(),
        FloorMod(),
        FullyConnected(),
        Gather(),
        GatherNd(),
        Gelu(),
        Greater(),
        GreaterEqual(),
        HardSwish(),
        If(),
        L2Normalization(),
        L2Pool2D(),
        LeakyRelu(),
        Less(),
        LessEqual(),
        Log(),
        LogSoftmax(),
        LogicalAnd(),
        LogicalNot(),
        LogicalOr(),
        Logistic(),
        MaxPool2D(),
        Maximum(),
        Mean(),
        Minimum(),
        MirrorPad(),
        Mul(),
        Neg(),
        NotEqual(),
        Pack(),
        Pad(),
        PadV2(),
        Pow(),
        Prelu(),
        Quantize(),
        ReadVariable(),
        ReduceAll(),
        ReduceMax(),
        ReduceMin(),
        Relu(),
        Relu6(),
        ReluN1To1(),
        Reshape(),
        ResizeBilinear(),
        ResizeNearestNeighbor(),
        ReverseV2(),
        Round(),
        Rsqrt(),
        Select(),
        SelectV2(),
        ShapeOp(),
        Sin(),
        Slice(),
        Softmax(),
        SpaceToBatchNd(),
        SpaceToDepth(),
        Split(),
        SplitV(),
        Sqrt(),
        Square(),
        SquaredDifference(),
        Squeeze(),
        StridedSlice(),
        Sub(),
        Sum(),
        Svdf(),
        Tanh(),
        Tile(),
        Transpose(),
        TransposeConv(),
        UnidirectionalSequenceLstm(),
        Unpack(),
        VarHandle(),
        While(),
        ZerosLike(),
    )
}

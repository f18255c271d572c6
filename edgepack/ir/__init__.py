"""The intermediate representation: a module of graphs of nodes over tensors."""

from edgepack.ir.graph import Graph, Module
from edgepack.ir.node import ABSENT, Attributes, Node
from edgepack.ir.tensor import BitTensor, Quantization, Tensor

__all__ = ["ABSENT", "Attributes", "BitTensor", "Graph", "Module", "Node", "Quantization", "Tensor"]

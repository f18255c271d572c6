"""What runs with TensorFlow in the child process for SavedModels: check, load, describe."""

from __future__ import annotations

import math
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgepack.errors import ModelError, UnsupportedError
from edgepack.models.handle import TRUSTED_STEP
from edgepack.models.progress import Progress
from edgepack.models.saved_model_file import GRAPH, MAX_FOLDER_BYTES

SIGNATURE = "serving_default"
# Operators that touch files, run Python or load libraries; a network has no use for them.
_HARMFUL = frozenset(
    {
        "ReadFile",
        "WriteFile",
        "MatchingFiles",
        "PyFunc",
        "PyFuncStateless",
        "EagerPyFunc",
        "ImmutableConst",
        "WholeFileReaderV2",
        "FixedLengthRecordReaderV2",
        "TextLineReaderV2",
        "TFRecordReaderV2",
        "TextLineDataset",
        "TFRecordDataset",
        "FixedLengthRecordDatasetV2",
        "SaveDataset",
        "LoadDataset",
        "DebugNumericSummary",
        "DebugIdentityV2",
        "DebugIdentityV3",
        "DumpTensor",
        "AsString2File",
        "CreateSummaryFileWriter",
        "DeleteFile",
    }
)
_NEXT = "export it again: model.export('folder') in Keras, tf.saved_model.save otherwise"


@dataclass(frozen=True)
class Opened:
    """A loaded SavedModel: its object (which owns the variables), and the signature to convert."""

    module: Any
    function: Any
    producer: str


def open_saved_model(path: Path, *, trust_model_code: bool = False) -> Opened:
    """Load a SavedModel that `check_saved_model` has passed.

    Raises:
        ModelError: it is damaged, claims variables that its folder cannot hold, or has no
            signature to serve.
        UnsupportedError: its graph touches files or calls Python.
    """
    proto = _read_graph(path)
    version = _check_graph(path, proto, trust_model_code)
    import tensorflow as tf

    try:
        module = _load_without_optimizer(path, proto)
    # TensorFlow rebuilds objects, functions and variables from the file; any exception means that
    # it cannot.
    except Exception as error:
        raise ModelError(
            f"TensorFlow {tf.__version__} cannot load {path}: {type(error).__name__}: "
            f"{_first(error)}",
            next_step=_NEXT,
        ) from error
    signatures = getattr(module, "signatures", {})
    name = SIGNATURE if SIGNATURE in signatures else next(iter(signatures), None)
    if name is None:
        raise ModelError(f"{path} has no signature to serve", next_step=_NEXT)
    producer = f"TensorFlow {version}" if version else "TensorFlow"
    return Opened(module, signatures[name], producer)


def _load_without_optimizer(path: Path, proto: Any) -> Any:
    """Load the graph beside the folder's own variables.

    The slots of a Keras 2 optimizer (momenta) cannot be restored without Keras 2, and are of no use
    here.
    """
    import tensorflow as tf

    for node in proto.meta_graphs[0].object_graph_def.nodes:
        del node.slot_variables[:]
    with tempfile.TemporaryDirectory() as folder:
        for part in ("variables", "assets"):
            if (path / part).is_dir():
                (Path(folder) / part).symlink_to(path.resolve() / part)
        (Path(folder) / GRAPH).write_bytes(proto.SerializeToString())
        return tf.saved_model.load(folder)


def _read_graph(path: Path) -> Any:
    from google.protobuf.message import DecodeError
    from tensorflow.core.protobuf import saved_model_pb2

    proto = saved_model_pb2.SavedModel()
    try:
        proto.ParseFromString((path / GRAPH).read_bytes())
    except DecodeError as error:
        raise ModelError(f"{path / GRAPH} is damaged: {error}", next_step=_NEXT) from error
    if not proto.meta_graphs:
        raise ModelError(f"{path / GRAPH} holds no graph", next_step=_NEXT)
    return proto


def _check_graph(path: Path, proto: Any, trust_model_code: bool) -> str:
    """The TensorFlow that wrote it, and that it claims no absurd amount; from the file alone."""
    graph = proto.meta_graphs[0]
    nodes = [*graph.graph_def.node]
    for function in graph.graph_def.library.function:
        nodes += function.node_def
    harmful = sorted({f"{node.op} ({node.name})" for node in nodes if node.op in _HARMFUL})
    if harmful and not trust_model_code:
        raise UnsupportedError(
            f"the graph of {path} touches files or calls Python: {', '.join(harmful[:5])}",
            allowed="graphs that compute",
            next_step=f"remove them from the model, or, {TRUSTED_STEP}",
        )
    shapes = [
        [dim.size for dim in node.variable.shape.dim]
        for node in graph.object_graph_def.nodes
        if node.WhichOneof("kind") == "variable"
    ]
    claimed = sum(math.prod(max(size, 0) for size in shape) for shape in shapes)
    if claimed > MAX_FOLDER_BYTES:
        raise ModelError(
            f"{path} claims {claimed:,} weights", allowed=f"at most {MAX_FOLDER_BYTES}"
        )
    return str(graph.meta_info_def.tensorflow_version)


def describe(opened: Opened) -> dict[str, Any]:
    """Inputs, outputs, dtypes and parameters, as `ModelHandle.from_description` reads them."""
    inputs = ordered_inputs(opened.function)
    outputs = ordered_outputs(opened.function)
    return {
        "inputs": [_spec(name, tensor) for name, tensor in inputs],
        "outputs": [_spec(name, tensor) for name, tensor in outputs],
        "dtypes": sorted({_dtype(tensor) for _, tensor in (*inputs, *outputs)}),
        # of the signature: the file holds the optimizer's as well
        "parameters": sum(variable.shape.num_elements() for variable in opened.function.variables),
        "producer": opened.producer,
    }


def ordered_inputs(function: Any) -> list[tuple[str, Any]]:
    """Name and `TensorSpec` of every input, in the order of the signature's arguments."""
    keywords = function.structured_input_signature[1]
    # the order in which the graph takes them; the dictionary is sorted by name
    names = [tensor.name.split(":")[0] for tensor in function.inputs]
    order = {name: place for place, name in enumerate(names)}
    prefix = "signature_wrapper_"
    known = sorted(
        keywords.items(),
        key=lambda item: order.get(item[1].name or item[0], order.get(prefix + item[0], 0)),
    )
    return [(name, spec) for name, spec in known]


def ordered_outputs(function: Any) -> list[tuple[str, Any]]:
    """Name and `TensorSpec` of every output, sorted by name as TensorFlow returns them."""
    return sorted(function.structured_outputs.items())


def _spec(name: str, tensor: Any) -> dict[str, Any]:
    if tensor.shape.rank is None:
        raise UnsupportedError(
            f"{name} has no rank, so its shape cannot be fixed",
            next_step="export the model with an input signature that has one",
        )
    return {
        "name": name,
        "shape": [-1 if size is None else int(size) for size in tensor.shape],
        "dtype": _dtype(tensor),
        "scale": None,
        "zero_point": None,
        "layout": "NHWC" if tensor.shape.rank == 4 else None,
    }


def _dtype(tensor: Any) -> str:
    return str(tensor.dtype.name).upper()


def describe_file(arguments: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """Task: describe a SavedModel. Arguments: `path`."""
    path = Path(arguments["path"])
    progress("load", None, f"loading {path.name}")
    return describe(open_saved_model(path))


def _first(error: Exception) -> str:
    return (str(error).strip().splitlines() or ["no message"])[0][:300]

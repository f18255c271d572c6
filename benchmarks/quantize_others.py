"""edgepack's int8 beside TFLiteConverter's and ai-edge-quantizer's: accuracy, bytes, time.

`python -m benchmarks.quantize_others [NETWORK ...]` needs TensorFlow, tf_keras (the models are of
Keras 2) and, for the last, `pip install ai-edge-quantizer`; what is not installed is left out and
said to be. All calibrate with the same samples, all files are run by the same LiteRT kernels on the
same samples, and it is tried whether TensorFlow Lite Micro takes them. Seconds are of the
processor, all threads together. Writes quantize_others.json.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.measure import data_dir
from benchmarks.quantize_data import Network, digits, ic, kws
from edgepack.convert.signature import with_signature
from edgepack.errors import EdgepackError
from edgepack.pipeline.quantize import oracle_outputs
from edgepack.quantize.columns import ends, stored_as
from edgepack.quantize.ptq import PtqOptions, calibrate, quantize

RESULT = Path(__file__).with_name("quantize_others.json")
CALIBRATION = 200
SEED = 0


def ours(network: Network, samples: list[tuple[Any, ...]]) -> bytes:
    """edgepack, as it is by default."""
    return quantize(calibrate(network.data, samples, PtqOptions()), PtqOptions()).data


def tflite_converter(network: Network, samples: list[tuple[Any, ...]]) -> bytes:
    """TFLiteConverter from the model's source, full-integer with int8 inputs and outputs."""
    import tensorflow as tf

    if network.source.suffix == ".h5":
        import tf_keras

        model = tf_keras.models.load_model(network.source, compile=False)
        converter = tf.lite.TFLiteConverter.from_keras_model(model)
    else:
        converter = tf.lite.TFLiteConverter.from_saved_model(str(network.source))
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([sample[0]] for sample in samples)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    return bytes(converter.convert())


def ai_edge_quantizer(network: Network, samples: list[tuple[Any, ...]]) -> bytes:
    """ai-edge-quantizer from the float `.tflite`, its recipe static_wi8_ai8."""
    from ai_edge_quantizer import quantizer, recipe

    inputs, outputs = ends(network.data)
    names = [spec.name for spec in inputs], [spec.name for spec in outputs]
    made = with_signature(network.data, *names)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "float.tflite"
        path.write_bytes(made)
        tool = quantizer.Quantizer(str(path), recipe.static_wi8_ai8())
        key = _input_key(made)
        calibrated = tool.calibrate({"serving_default": [{key: s[0]} for s in samples]})
        return bytes(tool.quantize(calibrated).quantized_model)


def _input_key(data: bytes) -> str:
    from ai_edge_litert.interpreter import Interpreter

    signatures = Interpreter(model_content=data).get_signature_list()
    return str(signatures["serving_default"]["inputs"][0])


TOOLS: dict[str, tuple[str, Callable[[Network, list[tuple[Any, ...]]], bytes]]] = {
    "edgepack": ("ai_edge_litert", ours),
    "TFLiteConverter": ("tensorflow", tflite_converter),
    "ai-edge-quantizer": ("ai_edge_quantizer", ai_edge_quantizer),
}
NETWORKS: dict[str, Callable[[Path], Network]] = {
    "kws": kws,
    "ic": ic,
    "mobile": lambda folder: digits("mobile"),
    "lstm": lambda folder: digits("lstm"),
    "gru": lambda folder: digits("gru"),
}


def one(network: Network, name: str) -> dict[str, Any]:
    """One tool's file and figures; what it said where it failed."""
    package, tool = TOOLS[name]
    if importlib.util.find_spec(package) is None:
        return {"missing": package}
    if name == "TFLiteConverter" and network.source.suffix == ".tflite":
        return {"refused": "it needs the Keras model or SavedModel, not a float .tflite"}
    samples = network.drawn(CALIBRATION, SEED)
    importlib.import_module(package)  # TensorFlow takes seconds, which are not the tool's
    started = time.process_time()
    try:
        made = tool(network, samples)
    except Exception as error:  # whatever another tool raises is its result here
        return {"failed": f"{type(error).__name__}: {error}"[:300]}
    seconds = round(time.process_time() - started, 2)
    ins, outs = ends(made)
    found: dict[str, Any] = {
        "processor_seconds": seconds,
        "bytes": len(made),
        "input": ins[0].dtype.value,
        "output": outs[0].dtype.value,
        "top1": network.judged(made).value,
    }
    stored = [network.x[:1] if p is None else p.store(network.x[:1]) for p in stored_as(ins)]
    try:
        oracle_outputs(made, [np.asarray(array) for array in stored])
        found["runs_in_tflm"] = True
    except EdgepackError as error:
        found["runs_in_tflm"] = error.message[:200]
    return found


def main() -> None:
    """Run the networks that are named, or all, and write the result."""
    folder = data_dir()
    if folder is None:
        sys.exit("the folder of real data is absent: set EDGEPACK_DATA")
    for name in sys.argv[1:] or list(NETWORKS):
        network = NETWORKS[name](folder)
        made: dict[str, Any] = {"float": network.judged(network.data).value}
        for tool in TOOLS:
            made[tool] = one(network, tool)
            print(name, tool, made[tool], flush=True)
        result = json.loads(RESULT.read_text(encoding="utf-8")) if RESULT.is_file() else {}
        result[name] = made
        RESULT.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

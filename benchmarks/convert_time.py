"""How long `edgepack convert` takes beside the bare converter: python -m benchmarks.convert_time.

Both start from nothing (a new process, an empty cache) and end with a .tflite file. The bare
converter is what a person would write by hand: load the model, TFLiteConverter, write the file.
They run in turn, so that what else the computer does strikes both; the best of each counts.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

from edgepack import runner

SOURCES = {"kws": "kws_saved_model", "ic": "ic.h5", "vww": "vww.h5"}
LIMIT = 1.3  # of the bare converter's time
SECONDS = 600.0

_BARE = """
import sys
import tensorflow as tf
source, target = sys.argv[1:]
if source.endswith(".h5"):
    import keras
    class DepthwiseConv2D(keras.layers.DepthwiseConv2D):
        def __init__(self, *args, groups=1, **options):
            super().__init__(*args, **options)
    model = keras.saving.load_model(
        source, compile=False, custom_objects={"DepthwiseConv2D": DepthwiseConv2D}
    )
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
else:
    converter = tf.lite.TFLiteConverter.from_saved_model(source)
open(target, "wb").write(converter.convert())
"""

# TensorFlow without Keras 2 cannot load the published SavedModel: it does not know the optimizer's
# slots. The bare converter gets a copy without them, made before the clock starts.
_STRIP = """
import shutil, sys
from tensorflow.core.protobuf import saved_model_pb2
source, target = sys.argv[1:]
shutil.copytree(source, target)
proto = saved_model_pb2.SavedModel()
proto.ParseFromString(open(source + "/saved_model.pb", "rb").read())
for node in proto.meta_graphs[0].object_graph_def.nodes:
    del node.slot_variables[:]
open(target + "/saved_model.pb", "wb").write(proto.SerializeToString())
"""


def seconds(argv: list[str], env: dict[str, str]) -> float:
    """Wall time of a program that must succeed."""
    started = time.perf_counter()
    runner.run(argv, timeout=SECONDS, env=env)
    return time.perf_counter() - started


def main() -> None:
    """Print the table; exit with 1 where a conversion takes more than LIMIT."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=os.environ.get("EDGEPACK_DATA"))
    parser.add_argument("--repeat", type=int, default=3)
    options = parser.parse_args()
    folder = Path(options.data or "../shared/data") / "mlperf_tiny"
    failed = False
    for name, file in SOURCES.items():
        bare, ours = [], []
        for _ in range(options.repeat):
            with tempfile.TemporaryDirectory() as scratch:
                target = str(Path(scratch) / "model.tflite")
                quiet = {"TF_CPP_MIN_LOG_LEVEL": "3", "EDGEPACK_CACHE": scratch}
                source = str(folder / file)
                plain = source
                if not file.endswith(".h5"):
                    plain = str(Path(scratch) / "plain")
                    seconds([sys.executable, "-c", _STRIP, source, plain], quiet)
                bare.append(seconds([sys.executable, "-c", _BARE, plain, target], quiet))
                command = [sys.executable, "-m", "edgepack", "convert", source, "-o", target]
                ours.append(seconds(command, quiet))
        ratio = min(ours) / min(bare)
        failed = failed or ratio > LIMIT
        print(f"{name}: bare {min(bare):.1f} s, edgepack {min(ours):.1f} s, ratio {ratio:.2f}")
    sys.exit(failed)


if __name__ == "__main__":
    main()

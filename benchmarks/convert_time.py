"""How long `edgepack convert` takes beside the bare converter: python -m benchmarks.convert_time.

Both start from nothing (a new process, an empty cache) and end with a .tflite file. The bare
converter is what a person would write by hand: load the model, TFLiteConverter, write the file.
They run in turn, so that what else the computer does strikes both; the best of each counts. Wall
time is what a user waits; the processor's time of all processes together is what a busy computer
does not distort. `--json FILE` keeps the figures.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
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


def seconds(argv: list[str], env: dict[str, str]) -> tuple[float, float]:
    """Wall and processor time of a program that must succeed, its children included."""
    started, before = time.perf_counter(), _processor()
    runner.run(argv, timeout=SECONDS, env=env)
    return time.perf_counter() - started, _processor() - before


def _processor() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> None:
    """Print the table; exit with 1 where a conversion takes more than LIMIT."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=os.environ.get("EDGEPACK_DATA"))
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    folder = Path(options.data or "../shared/data") / "mlperf_tiny"
    failed = False
    rows: dict[str, dict[str, float]] = {}
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
        row: dict[str, float] = {}
        for place, kind in enumerate(("wall", "processor")):
            first, second = (min(run[place] for run in runs) for runs in (bare, ours))
            row |= {f"{kind}_bare": first, f"{kind}_edgepack": second, kind: second / first}
        rows[name] = {key: round(value, 2) for key, value in row.items()}
        failed = failed or row["wall"] > LIMIT
        print(
            f"{name}: bare {row['wall_bare']:.1f} s, edgepack {row['wall_edgepack']:.1f} s, ratio "
            f"{row['wall']:.2f}; of the processor {row['processor_bare']:.1f} and "
            f"{row['processor_edgepack']:.1f} s, ratio {row['processor']:.2f}"
        )
    if options.json is not None:
        options.json.write_text(json.dumps({"limit": LIMIT, "models": rows}, indent=2) + "\n")
    sys.exit(failed)


if __name__ == "__main__":
    main()

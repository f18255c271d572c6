"""A benchmark_model for tests: its flags, its files and the form of its output, with LiteRT inside.

It stands in for TFLite's program, which cannot be had here: what it computes comes from LiteRT on
this computer, what it prints follows one release's form with times of its own.
"""

from __future__ import annotations

import sys
from pathlib import Path

TEXT = """#!{python}
import sys, time
import numpy as np
FLAGS = {flags!r}
given = dict(word[2:].split("=", 1) for word in sys.argv[1:] if "=" in word)
if "--help" in sys.argv:
    print("usage: benchmark_model <flags>")
    print("Flags:")
    for name in FLAGS:
        print(f"\\t--{{name}}=0\\tstring\\toptional\\ttext")
    sys.exit(1)
unknown = set(given) - set(FLAGS)
if unknown:
    print("ERROR: Unconsumed cmdline flags:", *unknown, file=sys.stderr)
    sys.exit(1)
from ai_edge_litert.interpreter import Interpreter
interpreter = Interpreter(model_path=given["graph"])
interpreter.allocate_tensors()
print("INFO: STARTING!")
print("INFO: Created TensorFlow Lite XNNPACK delegate for CPU.")
if {gpu!r} and given.get("use_gpu") == "true":
    print("INFO: Explicitly applied GPU delegate, and the model graph will be completely "
          "executed by the delegate.")
details = interpreter.get_input_details()
if "input_layer_value_files" in given:
    for detail, pair in zip(details, given["input_layer_value_files"].split(",")):
        name, _, path = pair.replace("::", "\\0").partition(":")
        assert name.replace("\\0", ":") == detail["name"], (name, detail["name"])
        raw = np.fromfile(path, detail["dtype"])
        interpreter.set_tensor(detail["index"], raw.reshape(detail["shape"]))
def block(count):
    times = []
    for _ in range(count):
        begun = time.perf_counter()
        interpreter.invoke()
        times.append(max(1, round((time.perf_counter() - begun) * 1e6)))
    print(f"INFO: Running benchmark for at least {{count}} iterations and at least 0 seconds.")
    middle = sorted(times)[len(times) // 2]
    rest = f" p5={{min(times)}} median={{middle}} p95={{max(times)}}" if {median!r} else ""
    if count == 1:
        print(f"INFO: count=1 curr={{times[0]}}")
    else:
        print(f"INFO: count={{count}} first={{times[0]}} curr={{times[-1]}} min={{min(times)}} "
              f"max={{max(times)}} avg={{sum(times) / count}} std=1" + rest)
    print()
    return sum(times) / count
warm = block(2)
average = block(max(1, int(given.get("num_runs", 50))))
print(f"INFO: Inference timings in us: Init: 10, First inference: 20, "
      f"Warmup (avg): {{warm}}, Inference (avg): {{average}}")
print("INFO: Memory footprint delta from the start of the tool (MB): init=1.5 overall=2.5")
if "output_filepath" in given:
    with open(given["output_filepath"], "wb") as file:
        for detail in interpreter.get_output_details():
            file.write(interpreter.get_tensor(detail["index"]).tobytes())
if given.get("op_profiling_output_mode") == "csv":
    with open(given["op_profiling_output_file"], "w") as file:
        file.write("Operator-wise Profiling Info for Regular Benchmark Runs:\\n")
        file.write("============================== Run Order ==============================\\n")
        file.write("node type, first, avg_ms, %, cdf%, mem KB, times called, name\\n")
        file.write("TfLiteXNNPackDelegate, 0.3, 0.25, 100%, 100%, 0, 1, [all]:0\\n\\n")
"""

NEW = (
    *("graph", "num_threads", "num_runs", "min_secs", "max_secs", "warmup_runs"),
    *("warmup_min_secs", "input_layer", "input_layer_shape", "input_layer_value_files"),
    *("output_filepath", "use_xnnpack", "use_gpu", "enable_op_profiling"),
    *("op_profiling_output_mode", "op_profiling_output_file"),
)
OLD = ("graph", "num_threads", "num_runs", "min_secs", "warmup_runs", "use_nnapi")


def write_stand_in(path: Path, *, new: bool = True, gpu: bool = True) -> Path:
    """Write the program: a release with outputs, medians and profiles, or an early one."""
    flags = NEW if new else OLD
    path.write_text(TEXT.format(python=sys.executable, flags=flags, gpu=gpu, median=new))
    path.chmod(0o755)
    return path

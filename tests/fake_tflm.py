"""A stand-in for TensorFlow Lite Micro, written for these tests: RESHAPE alone, which copies.

It has the part of TFLM's interface that the generated C++ uses, in TFLM's folders, so that finding,
linking and running a library can be tested where there is no TFLM.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np

from tests.tflite_builder import ModelBuilder, spec

ELEMENTS = 24
# what BUILD_TYPE=no_tf_lite_static_memory would leave in a library
FOREIGN = 'extern "C" void TfLiteSparsityFree(void*) {}\n'

_INTERPRETER = """
#pragma once
#include <stddef.h>
#include <stdint.h>
#include "./model.h"
enum TfLiteStatus { kTfLiteOk = 0, kTfLiteError = 1 };
struct TfLiteTensor { union { void* raw; } data; };
namespace tflite {
class MicroOpResolver { public: virtual ~MicroOpResolver() {} virtual int Known() const = 0;
  void operator delete(void*) {} };
class MicroInterpreter {
 public:
  MicroInterpreter(const Model*, const MicroOpResolver&, uint8_t* arena, size_t size);
  TfLiteStatus AllocateTensors();
  TfLiteStatus Invoke();
  TfLiteTensor* input(size_t) { return &input_; }
  TfLiteTensor* output(size_t) { return &output_; }
  size_t arena_used_bytes() const { return 2 * %d; }
 private:
  const MicroOpResolver& resolver_;
  uint8_t* arena_;
  size_t size_;
  TfLiteTensor input_, output_;
};
}
"""
_SOURCE = """
#include "tensorflow/lite/micro/micro_interpreter.h"
extern "C" void DebugLog(const char*, ...);
namespace tflite {
static const size_t kBytes = %d;
MicroInterpreter::MicroInterpreter(const Model*, const MicroOpResolver& r, uint8_t* a, size_t s)
    : resolver_(r), arena_(a), size_(s) {}
TfLiteStatus MicroInterpreter::AllocateTensors() {
  DebugLog("allocating");
  if (size_ < 2 * kBytes || resolver_.Known() != 1) return kTfLiteError;
  input_.data.raw = arena_;
  output_.data.raw = arena_ + kBytes;
  return kTfLiteOk;
}
TfLiteStatus MicroInterpreter::Invoke() {
  for (size_t i = 0; i < kBytes; i++) arena_[kBytes + i] = arena_[i];
  return kTfLiteOk;
}
}
"""
_LOG = 'extern "C" void DebugLog(const char*, ...) {}\n'
_FILES = {
    "tensorflow/lite/micro/model.h": '#pragma once\n#include "micro_interpreter.h"\n'
    "namespace tflite { class Model; }\n",
    "tensorflow/lite/micro/micro_mutable_op_resolver.h": """
#pragma once
#include "tensorflow/lite/micro/micro_interpreter.h"
namespace tflite {
template <unsigned N> class MicroMutableOpResolver : public MicroOpResolver {
 public:
  TfLiteStatus AddReshape() { known_++; return kTfLiteOk; }
  int Known() const override { return known_; }
 private:
  int known_ = 0;
  void operator delete(void*) {}
};
}
""",
    "tensorflow/lite/schema/schema_generated.h": """
#pragma once
#include "flatbuffers/flatbuffers.h"
namespace tflite {
class Model {};
inline const Model* GetModel(const void* data) { return static_cast<const Model*>(data); }
}
""",
}
_FLATBUFFERS = "tensorflow/lite/micro/tools/make/downloads/flatbuffers/include/flatbuffers"
M4 = ("-mcpu=cortex-m4", "-mthumb", "-mfloat-abi=hard", "-mfpu=fpv4-sp-d16")


def copying_model() -> bytes:
    """RESHAPE of INT8[1,4,6] to [1,24]."""
    model = ModelBuilder()
    value = model.input("value", (1, 4, 6), "INT8", scale=0.5, zero_point=1)
    shape = model.const(np.array([1, ELEMENTS], np.int32), "INT32")
    flat = [spec((1, ELEMENTS), "INT8", 0.5, 1)]
    model.output(*model.op("RESHAPE", [value, shape], flat, {"new_shape": [1, ELEMENTS]}))
    return model.build()


def write_headers(root: Path) -> None:
    """The headers, where TFLM's source tree has them."""
    for name, text in {
        **_FILES,
        "tensorflow/lite/micro/micro_interpreter.h": _INTERPRETER % ELEMENTS,
        f"{_FLATBUFFERS}/flatbuffers.h": "#pragma once\n",
    }.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")


def write_library(
    root: Path, name: str, prefix: str = "", flags: tuple[str, ...] = (), extra: str = ""
) -> Path:
    """Compile the library into gen/`name`/lib and return its path."""
    folder = root / "gen" / name / "lib"
    folder.mkdir(parents=True)
    library = folder / "libtensorflow-microlite.a"
    # the log stands in an object of its own, as in TFLM, so that firmware may replace it
    for stem, text in (("interpreter", _SOURCE % ELEMENTS + extra), ("log", _LOG)):
        (folder / f"{stem}.cc").write_text(text, encoding="utf-8")
        command = (
            f"{prefix}g++",
            *flags,
            "-std=c++17",
            "-fno-exceptions",
            "-fno-rtti",
            f"-I{root}",
        )
        output = ("-c", str(folder / f"{stem}.cc"), "-o", str(folder / f"{stem}.o"))
        subprocess.run([*command, *output], check=True, timeout=60)
        objects = [f"{prefix}ar", "rcs", str(library), str(folder / f"{stem}.o")]
        subprocess.run(objects, check=True, timeout=60)
    return library

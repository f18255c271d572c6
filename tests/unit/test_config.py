"""edgepack.toml: what is read, and how a mistake in it is reported."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgepack.config import load_config
from edgepack.errors import ConfigError

MINIMAL = '[model]\nsource = "m.tflite"\n[build]\ntarget = "host"\n'
NET = '[model]\nsource = "m.keras"\n[data]\nsource = "d.npz"\n[build]\ntarget = "host"\n'
PRUNE = '[[compress]]\nmethod = "prune_magnitude"\nsparsity = 0.5\n'


def _write(folder: Path, text: str) -> Path:
    path = folder / "edgepack.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_the_least_one_can_write(tmp_path: Path) -> None:
    config = load_config(_write(tmp_path, MINIMAL))
    assert config.name == "m"
    assert config.build.targets == ("host",)
    assert (config.build.runtime, config.build.optimize) == ("c", "balanced")
    assert (config.compress, config.quantize, config.bench.samples) == ((), None, None)
    assert config.folder == tmp_path.resolve()


def test_a_folder_stands_for_the_file_in_it(tmp_path: Path) -> None:
    _write(tmp_path, MINIMAL)
    assert load_config(tmp_path).build.targets == ("host",)


def test_everything(tmp_path: Path) -> None:
    text = """
[model]
source = "train:build_and_train"
name = "my-net"
seed = 7
fallback = "net.tflite"
[data]
source = "train:load_data"
fallback = "data.npz"
[[compress]]
method = "prune_magnitude"
sparsity = 0.5
skip = ["*depthwise*"]
[compress.finetune]
epochs = 2
[[compress]]
method = "prune_magnitude"
sparsity = 0.8
seed = 3
[quantize]
calibration_samples = 100
[build]
targets = ["host", "netduinoplus2"]
runtime = "tflm"
optimize = "size"
out = "out"
[bench]
data = "test.npz"
samples = 5
emulator = "unicorn"
"""
    config = load_config(_write(tmp_path, text))
    assert config.name == "my-net"
    assert [getattr(step, "sparsity", None) for step in config.compress] == [0.5, 0.8]
    assert config.compress[0].finetune.epochs == 2
    assert config.compress[1].seed == 3
    assert config.quantize is not None
    assert config.quantize.calibration_samples == 100
    assert config.build.targets == ("host", "netduinoplus2")
    assert config.bench.emulator == "unicorn"


@pytest.mark.parametrize(
    ("text", "named", "got", "allowed"),
    [
        ("", "model is missing", "", "table"),
        ('[model]\nsource = "m"\n', "build is missing", "", "table"),
        (MINIMAL + "[benhc]\n", "no key benhc", "{}", "bench"),
        (MINIMAL + "[bench]\nsample = 3\n", "no key bench.sample", "3", "samples"),
        (MINIMAL + "[bench]\nsamples = 0\n", "bench.samples", "0", "greater than or equal to 1"),
        (MINIMAL + '[bench]\nsamples = "3"\n', "bench.samples", "'3'", "integer"),
        (MINIMAL + '[bench]\nemulator = "bochs"\n', "bench.emulator", "'bochs'", "unicorn"),
        (MINIMAL + 'runtime = "rust"\n', "build.runtime", "'rust'", "'c' or 'tflm'"),
        (
            NET + "[[compress]]\nsparsty = 1\n",
            "compress[0].method is missing",
            "",
            "prune_magnitude",
        ),
        (NET + PRUNE.replace("sparsity = 0.5", ""), "[0].sparsity is missing", "", "number"),
        (NET + PRUNE + "sparsty = 1\n", "no key compress[0].sparsty", "1", "sparsity"),
        (NET + PRUNE.replace("0.5", "1.5"), "compress[0].sparsity", "1.5", "less than 1"),
        (NET + '[[compress]]\nmethod = "zip"', "compress[0].method", "'zip'", "prune_magnitude"),
        (NET + PRUNE + "finetune.epoch = 1", "no key compress[0].finetune.epoch", "1", "epochs"),
        ('folder = "/"\n' + MINIMAL, "no key folder", "'/'", "model"),
        (NET + '[quantize]\nscheme = "int7"', "quantize.scheme", "'int7'", "'int8'"),
        (MINIMAL + "[quantize]\n", "need samples", "", ""),
        (NET.replace('[data]\nsource = "d.npz"\n', "") + "[quantize]\n", "need samples", "", ""),
        ('[model]\nsource = "m"\n[build]\ntargets = []\n', "build.targets", "()", "at least 1"),
    ],
)
def test_a_mistake_names_the_key_what_was_got_and_what_is_allowed(
    text: str, named: str, got: str, allowed: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(_write(tmp_path, text))
    error = caught.value
    assert named in error.message
    assert got in error.message
    assert allowed in (error.allowed or "")
    assert error.next_step or not allowed


@pytest.mark.parametrize("content", [b"[model", b"\xff\xfe", b"a = 1\na = 2\n"])
def test_what_is_not_toml(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "edgepack.toml"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"edgepack\.toml"):
        load_config(path)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="does not exist"):
        load_config(tmp_path / "none.toml")

"""Data of every form, the choice of samples, and what is worth a warning."""

from __future__ import annotations

import wave
from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from edgepack.errors import DataError
from edgepack.models.audio_features import features
from edgepack.models.data_description import AudioSection
from edgepack.models.handle import TensorSpec
from edgepack.quantize.data import as_floats, choose, read_sources
from edgepack.quantize.warn import data_warnings, result_warnings
from edgepack.types import DType

INPUT = (TensorSpec("x", (1, 4, 2), DType.FLOAT32),)
X = np.arange(80, dtype=np.float32).reshape(10, 4, 2)


def save(tmp_path: Path, **arrays: object) -> Path:
    path = tmp_path / "d.npz"
    np.savez(path, **arrays)  # type: ignore[arg-type]
    return path


def test_samples_of_a_file_without_a_split_stay_in_order(tmp_path: Path) -> None:
    path = save(tmp_path, x=X, y=np.arange(10))
    split = choose(read_sources(path, INPUT), "0:4", "6:10", 0)
    np.testing.assert_array_equal(split.calibration.samples.inputs[0], X[:4])
    assert split.evaluation is not None and split.shared == 0
    np.testing.assert_array_equal(split.evaluation.samples.labels, [6, 7, 8, 9])


def test_what_does_not_calibrate_is_evaluated(tmp_path: Path) -> None:
    sources = read_sources(save(tmp_path, x=X, y=np.arange(10)), INPUT)
    split = choose(sources, 3, None, 0)
    assert split.evaluation is not None
    both = {*split.calibration.indices.tolist(), *split.evaluation.indices.tolist()}
    assert len(split.calibration.indices) == 3 and len(both) == 10
    again = choose(sources, 3, None, 0)
    np.testing.assert_array_equal(again.calibration.indices, split.calibration.indices)
    assert not np.array_equal(choose(sources, 3, None, 1).calibration.indices, [0, 1, 2])


def test_a_split_of_their_own_is_kept(tmp_path: Path) -> None:
    path = save(tmp_path, x_train=X[:6], x_test=X[6:], y_train=np.zeros(6), y_test=np.ones(4))
    split = choose(read_sources(path, INPUT), 200, None, 0)
    assert split.evaluation is not None
    assert (len(split.calibration.samples), len(split.evaluation.samples)) == (6, 4)
    assert split.shared == 0


def test_samples_used_twice_and_too_few_are_told(tmp_path: Path) -> None:
    sources = read_sources(save(tmp_path, x=X / 100), INPUT)
    split = choose(sources, "0:6", "4:10", 0)
    assert split.shared == 2
    told = data_warnings(split, as_floats(split.calibration.samples, INPUT))
    assert any("2 of the evaluated samples also calibrated" in line for line in told)
    assert any("6 calibration samples are few" in line for line in told)


def test_whole_numbers_far_from_0_are_told(tmp_path: Path) -> None:
    split = choose(read_sources(save(tmp_path, x=X * 3), INPUT), "0:10", "0:1", 0)
    told = data_warnings(split, as_floats(split.calibration.samples, INPUT))
    assert any("numbers up to 237" in line for line in told)


def test_figures_that_say_little_are_told() -> None:
    figures = {"metric": "top1", "value": 0.9, "n": 40, "interval95": [0.77, 0.96]}
    figures["confusion"] = [[20, 0], [0, 20]]
    told = result_warnings({"float": figures, "quantized": {**figures, "value": 0.85}})
    assert len(told) == 1 and "5.00 points may be chance" in told[0]
    poor = {**figures, "value": 0.55, "n": 10_000, "interval95": [0.54, 0.56]}
    assert "near chance" in result_warnings({"float": poor, "quantized": poor})[0]
    assert "no samples" in result_warnings(None)[0]


def test_npy_and_csv(tmp_path: Path) -> None:
    np.save(tmp_path / "d.npy", X)
    assert read_sources(tmp_path / "d.npy", INPUT).train.labels is None
    rows = "\n".join(f"{','.join(str(v) for v in row.reshape(-1))},{i}" for i, row in enumerate(X))
    header = ",".join(f"c{i}" for i in range(8)) + ",label\n"
    (tmp_path / "d.csv").write_text(header + rows)
    found = read_sources(tmp_path / "d.csv", INPUT).train
    np.testing.assert_array_equal(found.inputs[0], X)
    np.testing.assert_array_equal(found.labels, np.arange(10))


def write_wav(path: Path, values: list[int], rate: int = 8000) -> None:
    path.parent.mkdir(exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(np.array(values, "<i2").tobytes())


def test_recordings(tmp_path: Path) -> None:
    for name, value in (("no", 16384), ("yes", -32768)):
        write_wav(tmp_path / name / "a.wav", [value] * 3)
        write_wav(tmp_path / name / "b.wav", [value] * 99)
    with pytest.raises(DataError, match="rate"):
        read_sources(tmp_path, INPUT)
    (tmp_path / "data.toml").write_text("[audio]\nrate = 8000\n")
    found = read_sources(tmp_path, INPUT).train
    np.testing.assert_array_equal(found.labels, [0, 1, 0, 1])
    np.testing.assert_array_equal(found.inputs[0][0].reshape(-1), [0.5] * 3 + [0.0] * 5)
    np.testing.assert_array_equal(found.inputs[0][3], np.full((4, 2), -1.0))
    write_wav(tmp_path / "no" / "c.wav", [0], rate=16000)
    with pytest.raises(DataError, match="16000 Hz"):
        read_sources(tmp_path, INPUT)


FEATURES = """[audio]
rate = 8000
length = 4000
features = "mfcc"
window_ms = 40
stride_ms = 20
mels = 20
coefficients = 8
"""


def test_recordings_become_features(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    write_wav(tmp_path / "no" / "a.wav", list(rng.integers(-9000, 9000, 4000)))
    write_wav(tmp_path / "yes" / "a.wav", [0] * 4000)
    (tmp_path / "data.toml").write_text(FEATURES)
    shape = (TensorSpec("x", (1, 24, 8, 1), DType.FLOAT32),)
    found = read_sources(tmp_path, shape).train.inputs[0]
    assert found.shape == (2, 24, 8, 1)
    # of silence every band is the logarithm of the offset, of which the first term holds all
    np.testing.assert_allclose(found[1, :, 0, 0], np.log(1e-6) * np.sqrt(2 * 20), rtol=1e-6)
    np.testing.assert_allclose(found[1, :, 1:], 0, atol=1e-4)
    with pytest.raises(DataError, match=r"mfcc .* have shape \[24, 8\]"):
        read_sources(tmp_path, INPUT)
    (tmp_path / "data.toml").write_text(FEATURES.replace("mels = 20", "mels = 5"))
    with pytest.raises(DataError, match="no more coefficients than mels"):
        read_sources(tmp_path, shape)


@pytest.mark.needs_tf
@pytest.mark.slow
@pytest.mark.parametrize("kind", ["spectrogram", "log-mel", "mfcc"])
def test_features_are_those_of_tensorflow(
    kind: Literal["spectrogram", "log-mel", "mfcc"],
) -> None:
    tf = pytest.importorskip("tensorflow", reason="the numbers are compared with tf.signal's")
    x = np.random.default_rng(0).normal(size=16000).astype(np.float32) / 10
    settings = AudioSection(
        rate=16000, length=16000, features=kind, high_hz=4000, coefficients=10
    )  # fmt: skip
    found = tf.abs(tf.signal.stft(x, 480, 320, window_fn=tf.signal.hann_window))
    if kind != "spectrogram":
        weights = tf.signal.linear_to_mel_weight_matrix(40, 257, 16000, 20.0, 4000.0)
        found = tf.math.log(found @ weights + 1e-6)
    if kind == "mfcc":
        found = tf.signal.mfccs_from_log_mel_spectrograms(found)[..., :10]
    # TensorFlow computes in float32
    np.testing.assert_allclose(features(x, settings), found.numpy(), atol=3e-5)


def test_stored_integers_become_real_numbers(tmp_path: Path) -> None:
    path = save(tmp_path, x=np.full((2, 4, 2), 85, np.int8))
    split = choose(read_sources(path, INPUT), "0:2", "0:2", 0)
    assert as_floats(split.calibration.samples, INPUT, (0.5, 83))[0][0][0, 0, 0] == 1.0


@pytest.mark.parametrize(
    ("arrays", "part"),
    [({"x": X[:, :3]}, "has shape"), ({"x": X, "y": np.arange(3)}, "one entry per sample")],
)
def test_data_that_do_not_fit(arrays: dict[str, object], part: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=part):
        sources = read_sources(save(tmp_path, **arrays), INPUT)
        as_floats(choose(sources, 1, None, 0).calibration.samples, INPUT)


def test_what_is_not_there_or_unknown(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="do not exist"):
        read_sources(tmp_path / "absent.npz", INPUT)
    (tmp_path / "d.parquet").write_bytes(b"PAR1")
    with pytest.raises(DataError, match="no form"):
        read_sources(tmp_path / "d.parquet", INPUT)
    (tmp_path / "d.npz").write_bytes(b"PK broken")
    with pytest.raises(DataError, match="not a readable"):
        read_sources(tmp_path / "d.npz", INPUT)
    with pytest.raises(DataError, match="has 10 samples"):
        choose(read_sources(save(tmp_path, x=X), INPUT), "20:30", None, 0)

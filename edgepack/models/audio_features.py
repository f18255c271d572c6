"""Spectrograms, log-mel energies and MFCCs of recordings, as `[audio]` of data.toml declares them.

The numbers are those of TensorFlow's tf.signal (stft without padding, linear_to_mel_weight_matrix,
mfccs_from_log_mel_spectrograms), which most keyword networks were trained with, MLPerf Tiny's among
them; a test compares. They are computed in double precision.
"""

from __future__ import annotations

import numpy as np

from edgepack.errors import DataError
from edgepack.models.data_description import AudioSection
from edgepack.types import Array

_MEL_BREAK_HZ, _MEL_HIGH_Q = 700.0, 1127.0  # HTK's mel scale


def features(samples: Array, settings: AudioSection) -> Array:
    """What the network takes of one recording.

    Args:
        samples: [length], -1 to 1.
        settings: which features; `features = "samples"` gives them back.

    Returns:
        float32, [length], [frames, bins], [frames, mels] or [frames, coefficients].

    Raises:
        DataError: the recording is shorter than a window.
    """
    if settings.features == "samples":
        found = samples.astype(np.float64)
    else:
        found = spectrogram(samples, settings)
    if settings.features in ("log-mel", "mfcc"):
        found = np.log(found @ mel_weights(settings) + settings.log_offset)
    if settings.features == "mfcc":
        found = cosine_transform(found)[:, : settings.coefficients]
    scaled = (found - settings.mean) / settings.std
    return np.asarray(scaled, np.float32)


def spectrogram(samples: Array, settings: AudioSection) -> Array:
    """Magnitudes [frames, fft / 2 + 1] of windows under a periodic Hann function."""
    width, step = settings.window, settings.stride
    count = 1 + (len(samples) - width) // step
    if count < 1:
        raise DataError(
            f"[audio] length {len(samples)} is shorter than a window of {width} samples",
            next_step="give a smaller window_ms",
        )
    at = np.arange(count)[:, None] * step + np.arange(width)
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(width) / width)
    return np.abs(np.fft.rfft(samples.astype(np.float64)[at] * hann, settings.fft_size))


def mel_weights(settings: AudioSection) -> Array:
    """Triangles on HTK's mel scale, [fft / 2 + 1, mels]; the bin of 0 Hz counts nowhere."""
    bins = settings.fft_size // 2 + 1
    mel = _mel(np.linspace(0.0, settings.rate / 2, bins))[:, None]
    high = settings.high_hz or settings.rate / 2
    ends = _mel(np.array([settings.low_hz, high]))
    edges = np.linspace(ends[0], ends[1], settings.mels + 2)
    left, centre, right = edges[:-2], edges[1:-1], edges[2:]
    rising, falling = (mel - left) / (centre - left), (right - mel) / (right - centre)
    weights = np.maximum(0.0, np.minimum(rising, falling))
    weights[0] = 0.0
    return np.asarray(weights)


def _mel(hertz: Array) -> Array:
    return np.asarray(_MEL_HIGH_Q * np.log(1.0 + hertz / _MEL_BREAK_HZ))


def cosine_transform(values: Array) -> Array:
    """The orthogonal DCT-II along the last axis; its first term is sqrt(2) larger, as tf.signal's.

    Args:
        values: [frames, mels].
    """
    count = values.shape[-1]
    angles = np.pi / count * (np.arange(count)[:, None] + 0.5) * np.arange(count)
    return np.asarray(values @ np.cos(angles) * np.sqrt(2.0 / count))

"""What makes a figure worth less than it looks: too few samples, the same ones twice, odd data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from edgepack.quantize.data import Split
from edgepack.types import Array

FEW_CALIBRATION = 50  # fewer leave the extremes of activations to chance
_WIDE_INTERVAL = 0.04  # of a share: two points up and down
_UNNORMALIZED = 32.0  # networks are trained on inputs of about 1; beyond this they seldom are
_CHANCE = 1.5  # times the share of the largest class: what a network that learned exceeds


def data_warnings(split: Split, samples: Sequence[tuple[Array, ...]]) -> list[str]:
    """About the samples themselves."""
    found = []
    count = len(samples)
    if count < FEW_CALIBRATION:
        found.append(
            f"{count} calibration samples are few: ranges that were not seen are cut off "
            f"({FEW_CALIBRATION} or more give steady ones)"
        )
    if split.shared:
        found.append(
            f"{split.shared} of the evaluated samples also calibrated: the accuracy on them says "
            "less about new ones"
        )
    for index in range(len(samples[0])):
        column = np.stack([sample[index] for sample in samples])
        if column.dtype.kind != "f":
            continue
        largest = float(np.abs(column).max())
        if not np.ptp(column):
            found.append(f"input {index} is {column.flat[0]:g} in every calibration sample")
        elif largest > _UNNORMALIZED and _like_pixels(column):
            found.append(
                f"input {index} holds numbers up to {largest:g}: right if the network was trained "
                "on such, wrong if it was trained on scaled ones"
            )
    return found


def _like_pixels(column: Array) -> bool:
    """Whether values are whole numbers or never negative, as stored pixels are."""
    return bool((column == np.rint(column)).all()) or float(column.min()) >= 0


def result_warnings(evaluated: dict[str, Any] | None) -> list[str]:
    """About the figures."""
    if evaluated is None:
        return ["no samples are left to evaluate: the accuracy is not known"]
    before, after = evaluated.get("float"), evaluated.get("quantized")
    if before is None or after is None:
        return ["the samples have no labels that fit: the accuracy is not known"]
    if before["metric"] != "top1":
        return []
    found = []
    low, high = before["interval95"]
    drop = before["value"] - after["value"]
    if high - low > _WIDE_INTERVAL:
        chance = ""
        if abs(drop) < high - low:
            chance = f": a difference of {100 * abs(drop):.2f} points may be chance"
        found.append(
            f"{before['n']} samples place the accuracy between {100 * low:.1f} and "
            f"{100 * high:.1f} % (95 %){chance}"
        )
    rows = np.array(before["confusion"]).sum(axis=1)
    if before["value"] < min(1.0, _CHANCE * rows.max() / rows.sum()):
        found.append(
            f"the float model itself has {100 * before['value']:.1f} %, near chance: are the data "
            "preprocessed as for training?"
        )
    return found


def device_warnings(found: dict[str, Any]) -> list[str]:
    """About the column of the device."""
    lines = []
    figures = found.get("device")
    if figures is not None and figures["metric"] == "top1":
        low, high = figures["interval95"]
        if high - low > _WIDE_INTERVAL:
            lines.append(
                f"{figures['n']} samples on the device place its accuracy between {100 * low:.1f} "
                f"and {100 * high:.1f} % (95 %): --device-samples runs more"
            )
    wrong = found["oracle"]
    if wrong is not None and wrong["first_mismatch"] is not None:
        lines.append(
            f"{wrong['mismatched_bytes']} output bytes of the device differ from "
            f"{wrong['oracle']}: edgepack bench names the first, edgepack bench --bisect the layer"
        )
    if found["stateful"]:
        lines.append(
            "the model keeps state: on the device one sample goes on from the one before, on this "
            "computer each begins afresh"
        )
    return lines

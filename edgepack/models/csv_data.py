"""A table as samples: one row each, one column per input element, perhaps one for the label."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgepack.errors import DataError
from edgepack.models.data_description import (
    Description,
    TableSection,
    class_number,
    read_description,
)
from edgepack.types import Array

_LABEL_NAMES = ("label", "class", "y")  # of a column that is the label without being declared


@dataclass(frozen=True)
class Rows:
    """Samples [n, *shape] as float64, and labels [n] or None."""

    values: Array
    labels: Array | None


def read_rows(path: Path, shape: Sequence[int] | None = None, *, limit: int | None = None) -> Rows:
    """Read a CSV file; NAME.toml beside it may describe its columns.

    Args:
        path: the file. Its first row is a header unless all its cells are numbers.
        shape: of one sample, from the model; the declared shape counts where there is one.
        limit: read only so many rows.

    Raises:
        DataError: the file is missing or damaged, a cell is no number, a row has another length.
    """
    described = read_description(path.with_suffix(".toml"))
    table = described.csv or TableSection()
    shape = table.shape or shape
    rows = _cells(path, table.delimiter)
    header = None if _is_number_row(rows[0][1], table) else rows.pop(0)[1]
    if not rows:
        raise DataError(f"{path} holds a header and no rows")
    columns, label = _columns(path, header, len(rows[0][1]), table)
    values, labels = [], []
    for number, cells in rows[:limit]:
        where = f"{path}, line {number}"
        if len(cells) != len(header or rows[0][1]):
            raise DataError(
                f"{where} has {len(cells)} cells", allowed=f"{len(header or rows[0][1])}"
            )
        values.append([_number(cells[c], where, c, header) for c in columns])
        if label is not None:
            labels.append(_label(cells[label], described, where))
    array = np.array(values, np.float64)
    if shape is not None:
        if math.prod(shape) != array.shape[1]:
            raise DataError(
                f"{path} has {array.shape[1]} columns for the input",
                allowed=f"{math.prod(shape)}: the model's input is {'x'.join(map(str, shape))}",
                next_step=f"name the label's column, or columns, in {path.with_suffix('.toml')}",
            )
        array = array.reshape(len(array), *shape)
    return Rows(array, np.array(labels, np.int64) if label is not None else None)


def _cells(path: Path, delimiter: str) -> list[tuple[int, list[str]]]:
    """Rows that are not empty, with their line numbers."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, delimiter=delimiter)
            rows = [(reader.line_num, [c.strip() for c in row]) for row in reader if any(row)]
    except FileNotFoundError:
        raise DataError(f"{path} does not exist") from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} cannot be read as CSV: {error}") from error
    if not rows:
        raise DataError(f"{path} is empty", allowed="a row for each sample")
    return rows


def _is_number_row(cells: list[str], table: TableSection) -> bool:
    """Whether a row is data: a class name in the label's column is data too."""
    return all(_is_number(c) or i == table.label for i, c in enumerate(cells))


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _columns(
    path: Path, header: list[str] | None, count: int, table: TableSection
) -> tuple[list[int], int | None]:
    """Positions of the input's columns, and of the label's."""
    label = table.label
    if isinstance(label, str) or (header is not None and label is None):
        label = _named_label(path, header, label)
    if isinstance(label, int) and label >= count:
        raise DataError(f"{path}: there is no column {label}", allowed=f"0 to {count - 1}")
    assert not isinstance(label, str)
    if table.columns is None:
        return [i for i in range(count) if i != label], label
    absent = [name for name in table.columns if header is None or name not in header]
    if absent:
        raise DataError(
            f"{path} has no column {absent[0]!r}", allowed=", ".join(header or ["(no header)"])
        )
    assert header is not None
    return [header.index(name) for name in table.columns], label


def _named_label(path: Path, header: list[str] | None, name: str | int | None) -> int | None:
    if name is None:
        return next((i for i, c in enumerate(header or []) if c.lower() in _LABEL_NAMES), None)
    if header is None or name not in header:
        raise DataError(
            f"{path} has no column {name!r} for the label",
            allowed=", ".join(header) if header else "a column's number, for there is no header",
        )
    return header.index(str(name))


def _number(cell: str, where: str, column: int, header: list[str] | None) -> float:
    name = header[column] if header is not None else str(column)
    try:
        value = float(cell)
    except ValueError:
        raise DataError(f"{where}, column {name}: {cell!r} is no number") from None
    if not math.isfinite(value):
        raise DataError(f"{where}, column {name}: {cell} is not finite")
    return value


def _label(cell: str, described: Description, where: str) -> int:
    classes = described.labels.classes if described.labels is not None else None
    whole = cell.removesuffix(".0")  # as other programs write whole numbers
    return class_number(whole, classes, where)

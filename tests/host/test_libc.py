"""edgepack's own C library (firmware/libc) against this computer's, with the errors it states."""

from __future__ import annotations

import ctypes
import shutil
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgepack import runner
from edgepack.resources import firmware_dir
from edgepack.toolchain.flags import WARNINGS
from edgepack.types import Array

pytestmark = pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc is not installed")

FLOATS = ("expf", "logf", "sinf", "cosf", "tanhf", "expm1f", "log1pf", "powf", "sqrtf")
EXACT = ("floorf", "ceilf", "truncf", "rintf", "roundf", "lroundf", "fmodf", "fabsf", "copysignf")
DOUBLES = ("exp", "log", "floor", "fabs")
MEMORY = ("memcpy", "memmove", "memset", "memcmp", "strlen", "strcmp", "strncmp")
# As firmware/libc/math.h states them, in units of the last place.
ULPS = dict.fromkeys(("expf", "logf"), 1.5) | dict.fromkeys(
    ("sinf", "cosf", "tanhf", "expm1f", "log1pf", "powf"), 0.51
)
WORST = 40_000  # random arguments for each function


@pytest.fixture(scope="module")
def libc(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    """The library under names of its own, so that this computer's is not replaced."""
    folder = tmp_path_factory.mktemp("libc")
    names = (*FLOATS, *EXACT, *DOUBLES, *MEMORY)
    renamed = [f"-D{name}=own_{name}" for name in names if name not in ("fabsf", "sqrtf")]
    sources = sorted(str(path) for path in (firmware_dir() / "libc").glob("*.c"))
    library = folder / "own.so"
    command = ("gcc", "-std=c99", "-O2", "-ffreestanding", "-fno-builtin", "-shared", "-fPIC")
    strict = tuple(w for w in WARNINGS)
    include = f"-isystem{firmware_dir() / 'libc'}"
    bind = "-Wl,-Bsymbolic"  # its fabsf and sqrtf, which cannot be renamed, are its own
    runner.run(
        (*command, *strict, *renamed, include, bind, *sources, "-o", str(library)), timeout=120
    )
    return ctypes.CDLL(str(library))


def function(libc: ctypes.CDLL, name: str) -> Callable[..., float]:
    own = libc[name if name in ("fabsf", "sqrtf") else f"own_{name}"]
    kind = ctypes.c_double if name in DOUBLES else ctypes.c_float
    own.restype = ctypes.c_long if name == "lroundf" else kind
    own.argtypes = [kind] * (2 if name in ("fmodf", "powf", "copysignf") else 1)
    return own


def every_kind_of_float(count: int, seed: int) -> Array:
    """Random bits, so every exponent, subnormals, infinities and NaN; and plain small numbers."""
    rng = np.random.default_rng(seed)
    bits = rng.integers(0, 2**32, count, dtype=np.uint64).astype(np.uint32).view(np.float32)
    plain = rng.normal(0, 8, count).astype(np.float32)
    halves = (rng.integers(-5000, 5000, count) / 2).astype(np.float32)
    special = np.array([0.0, -0.0, 1.0, -1.0, np.inf, -np.inf, np.nan, 0.5, -0.5, 1e-45], "f4")
    return np.concatenate([bits, plain, halves, special]).astype(np.float32)


TRUTH: dict[str, Callable[..., Array]] = {
    "expf": np.exp,
    "logf": np.log,
    "sinf": np.sin,
    "cosf": np.cos,
    "tanhf": np.tanh,
    "expm1f": np.expm1,
    "log1pf": np.log1p,
    "sqrtf": np.sqrt,
    "powf": np.power,
}


def unit(value: Array) -> Array:
    """The unit of the last place of a float near `value`."""
    exponent = np.floor(np.log2(np.maximum(np.abs(value), 2.0**-126)))
    place: Array = np.exp2(np.clip(exponent, -126, 127) - 23)
    return place


@pytest.mark.parametrize("name", sorted(ULPS))
def test_rounds_as_well_as_stated(libc: ctypes.CDLL, name: str) -> None:
    own = function(libc, name)
    arguments = [every_kind_of_float(WORST // 3, 1)]
    if name == "powf":
        arguments.append(every_kind_of_float(WORST // 3, 2))
        arguments[1][1:40] = np.arange(-19, 20)
    got = np.array([own(*map(float, a)) for a in zip(*arguments, strict=True)])
    with np.errstate(all="ignore"):
        exact = TRUTH[name](*[a.astype(np.float64) for a in arguments])
        rounded = exact.astype(np.float32)
        np.testing.assert_array_equal(np.isnan(got), np.isnan(exact))
        finite = np.isfinite(rounded)
        np.testing.assert_array_equal(got[~finite], rounded[~finite].astype(np.float64))
        error = np.abs(got - exact)[finite] / unit(exact[finite])
    assert error.max() < ULPS[name], f"{error.max()} at {arguments[0][finite][error.argmax()]}"


def test_square_roots_are_rounded_correctly(libc: ctypes.CDLL) -> None:
    own = function(libc, "sqrtf")
    values = every_kind_of_float(WORST // 3, 3)
    with np.errstate(all="ignore"):
        expected = np.sqrt(values)
    np.testing.assert_array_equal([own(float(v)) for v in values], expected)


@pytest.mark.parametrize(
    ("name", "truth"),
    [
        ("floorf", np.floor),
        ("ceilf", np.ceil),
        ("truncf", np.trunc),
        ("rintf", np.rint),
        ("fabsf", np.abs),
        ("roundf", lambda x: np.copysign(np.floor(np.abs(x.astype(np.float64)) + 0.5), x)),
    ],
)
def test_roundings_are_exact(libc: ctypes.CDLL, name: str, truth: Callable[[Array], Array]) -> None:
    own = function(libc, name)
    values = every_kind_of_float(WORST // 3, 4)
    got = np.array([own(float(v)) for v in values])
    with np.errstate(all="ignore"):
        expected = truth(values)
    np.testing.assert_array_equal(got, expected)
    # the sign of zero as well
    numbers = ~np.isnan(expected)
    np.testing.assert_array_equal(np.signbit(got)[numbers], np.signbit(expected)[numbers])


def test_the_nearest_long(libc: ctypes.CDLL) -> None:
    own = function(libc, "lroundf")
    for value, expected in ((0.5, 1), (-0.5, -1), (2.5, 3), (-1.49, -1), (8388609.0, 8388609)):
        assert own(value) == expected
    assert own(1e30) == 2**63 - 1 and own(-1e30) == -(2**63)


def test_remainders_are_exact(libc: ctypes.CDLL) -> None:
    own = function(libc, "fmodf")
    x, y = every_kind_of_float(WORST // 6, 5), every_kind_of_float(WORST // 6, 6)
    got = np.array([own(float(a), float(b)) for a, b in zip(x, y, strict=True)], np.float32)
    with np.errstate(all="ignore"):
        expected = np.fmod(x, y)
    np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("name", ["exp", "log"])
def test_doubles_are_within_two_units(libc: ctypes.CDLL, name: str) -> None:
    own = function(libc, name)
    rng = np.random.default_rng(7)
    near = rng.normal(0, 30, 20_000) if name == "exp" else np.exp(rng.normal(0, 30, 20_000))
    special = [0.0, 1.0, -745.2, 709.7, 710.0, 5e-324, 1.5e-308, np.inf, np.nan, 1 + 2**-52]
    values = np.concatenate([near, special])
    got = np.array([own(float(v)) for v in values])
    with np.errstate(all="ignore"):
        expected = getattr(np, name)(values)
        finite = np.isfinite(expected)
        error = np.abs(got - expected)[finite] / np.spacing(np.abs(expected[finite]))
    np.testing.assert_array_equal(got[~finite], expected[~finite])
    assert error.max() <= 2.0


def test_the_floor_of_a_double(libc: ctypes.CDLL) -> None:
    own = function(libc, "floor")
    rng = np.random.default_rng(8)
    values = np.concatenate([rng.normal(0, 1e6, 1000), [0.0, -0.0, 0.5, -0.5, 1e300, -1e300]])
    np.testing.assert_array_equal([own(float(v)) for v in values], np.floor(values))


@given(
    data=st.binary(min_size=40, max_size=80),
    to=st.integers(0, 20),
    start=st.integers(0, 20),
    size=st.integers(0, 20),
)
def test_memory_moves_as_bytes_do(
    libc: ctypes.CDLL, data: bytes, to: int, start: int, size: int
) -> None:
    buffer = ctypes.create_string_buffer(data, 96)
    base = ctypes.addressof(buffer)
    move = libc.own_memmove
    move.argtypes, move.restype = [ctypes.c_void_p] * 2 + [ctypes.c_size_t], ctypes.c_void_p
    assert move(base + to, base + start, size) == base + to
    expected = bytearray(data.ljust(96, b"\0"))
    expected[to : to + size] = expected[start : start + size]
    assert buffer.raw == bytes(expected)
    other = ctypes.create_string_buffer(96)
    copy = libc.own_memcpy
    copy.argtypes, copy.restype = move.argtypes, ctypes.c_void_p
    assert copy(ctypes.addressof(other) + to, base + start, size)
    assert other.raw == b"\0" * to + buffer.raw[start : start + size] + b"\0" * (96 - to - size)
    fill = libc.own_memset
    fill.argtypes, fill.restype = [ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t], ctypes.c_void_p
    assert fill(base + to, 0x1A5, size)
    expected = bytearray(expected)
    expected[to : to + size] = b"\xa5" * size
    assert buffer.raw == bytes(expected)


@given(a=st.binary(max_size=12), b=st.binary(max_size=12), most=st.integers(0, 12))
def test_texts_compare_as_bytes_do(libc: ctypes.CDLL, a: bytes, b: bytes, most: int) -> None:
    def sign(value: int) -> int:
        return (value > 0) - (value < 0)

    def order(x: bytes, y: bytes) -> int:
        return (x > y) - (x < y)

    first, second = a.split(b"\0")[0], b.split(b"\0")[0]
    assert libc.own_strlen(a) == len(first)
    assert sign(libc.own_strcmp(a, b)) == order(first, second)
    assert sign(libc.own_strncmp(a, b, most)) == order(first[:most], second[:most])
    same = min(len(a), len(b))
    assert sign(libc.own_memcmp(a, b, same)) == order(a[:same], b[:same])

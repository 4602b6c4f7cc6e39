"""16-bit floats on processors that lack their conversions, against NumPy."""

import ctypes
import functools

import ml_dtypes
import numpy as np
import pytest

from ix.passes.cpu.object_code import compile_object
from ix.runtime.elf import LoadedCode, load_object
from ix.target import Target, host_missing

TYPES = {"half": np.dtype(np.float16), "bfloat": np.dtype(ml_dtypes.bfloat16)}
WIDE = {"float": np.dtype(np.float32), "double": np.dtype(np.float64)}
TARGETS = [
    name
    for name in ("cpu:generic", "cpu:avx2", "cpu:avx512")
    if not host_missing(Target.parse(name))
]


def loop(name: str, source: str, target: str, op: str) -> str:
    """@name(from, to, n): to[i] = op from[i]."""
    return f"""
define void @{name}(ptr noalias %from, ptr noalias %to, i64 %n) {{
entry:
  br label %loop
loop:
  %i = phi i64 [ 0, %entry ], [ %next, %loop ]
  %p = getelementptr {source}, ptr %from, i64 %i
  %q = getelementptr {target}, ptr %to, i64 %i
  %x = load {source}, ptr %p
  %y = {op} {source} %x to {target}
  store {target} %y, ptr %q
  %next = add i64 %i, 1
  %more = icmp ult i64 %next, %n
  br i1 %more, label %loop, label %end
end:
  ret void
}}
"""


@functools.cache
def conversions(name: str, level: int) -> LoadedCode:
    text = "".join(
        loop(f"{wide}_to_{narrow}", wide, narrow, "fptrunc")
        + loop(f"{narrow}_to_{wide}", narrow, wide, "fpext")
        for narrow in TYPES
        for wide in WIDE
    )
    return load_object(compile_object(text, Target.parse(name), level=level))


def convert(
    code: LoadedCode, values: np.ndarray, source: str, target: str
) -> np.ndarray:
    dtype = {**TYPES, **WIDE}[target]
    out = np.full(len(values) * dtype.itemsize, 0xAA, np.uint8).view(dtype)
    kinds = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64)
    call = ctypes.CFUNCTYPE(None, *kinds)(code.address(f"{source}_to_{target}"))
    call(values.ctypes.data, out.ctypes.data, len(values))
    return out


def bits(values: np.ndarray) -> np.ndarray:
    return values.view(f"u{values.dtype.itemsize}")


def probes(wide: str, narrow: str) -> np.ndarray:
    """Every narrow value, the midpoints between neighbours, next to each, and noise."""
    every = np.arange(1 << 16, dtype=np.uint16).view(TYPES[narrow])
    with np.errstate(all="ignore"):
        exact = every[np.isfinite(every.astype(np.float64))].astype(np.float64)
        exact = np.unique(exact)
        middle = (exact[1:] + exact[:-1]) / 2
        near = np.concatenate([exact, middle]).astype(WIDE[wide])
        raw = np.random.default_rng(5).integers(
            0, 1 << 63, 1 << 16, dtype=np.uint64
        ) * np.uint64(2)
        noise = (raw >> np.uint64(32)).astype(np.uint32).view(np.float32)
        if wide == "double":
            noise = raw.view(np.float64)
        around = [near, np.nextafter(near, np.inf), np.nextafter(near, -np.inf)]
        edges = np.array([0.0, -0.0, np.inf, -np.inf, 1e-310, 65519.999, 65520, 3.4e38])
        return np.concatenate([*around, noise, edges.astype(WIDE[wide])])


@pytest.mark.parametrize("level", [0, 3])
@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.parametrize("wide", WIDE)
@pytest.mark.parametrize("narrow", TYPES)
def test_rounding(name: str, level: int, wide: str, narrow: str) -> None:
    values = probes(wide, narrow)
    values = values[~np.isnan(values)]
    got = convert(conversions(name, level), values, wide, narrow)
    expected = nearest(values, TYPES[narrow])
    wrong = bits(got) != bits(expected)
    assert not wrong.any(), (values[wrong][:5], got[wrong][:5], expected[wrong][:5])


def nearest(values: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Rounds once, to nearest even; ml_dtypes goes from double through float."""
    digits, least = (11, -24) if dtype == np.float16 else (8, -133)
    exact = values.astype(np.float64)
    _, exponent = np.frexp(exact)
    quantum = np.ldexp(1.0, np.maximum(exponent - digits, least))
    with np.errstate(all="ignore"):
        return (np.rint(exact / quantum) * quantum).astype(dtype)


@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.parametrize("wide", WIDE)
@pytest.mark.parametrize("narrow", TYPES)
def test_every_narrow_value_widens_exactly(name: str, wide: str, narrow: str) -> None:
    every = np.arange(1 << 16, dtype=np.uint16).view(TYPES[narrow])
    got = convert(conversions(name, 0), every, narrow, wide)
    with np.errstate(invalid="ignore"):
        expected = every.astype(np.float32).astype(WIDE[wide])
    nan = np.isnan(expected)
    assert np.isnan(got[nan]).all()
    assert (bits(got)[~nan] == bits(expected)[~nan]).all()


@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.parametrize("wide", WIDE)
@pytest.mark.parametrize("narrow", TYPES)
def test_nan_stays_nan_with_its_sign(name: str, wide: str, narrow: str) -> None:
    quiet = np.array([np.nan, -np.nan], WIDE[wide])
    payload = bits(quiet.copy())
    payload |= 1
    values = np.concatenate([quiet, payload.view(WIDE[wide])])
    got = convert(conversions(name, 0), values, wide, narrow)
    assert np.isnan(got.astype(np.float32)).all()
    assert (np.signbit(got.astype(np.float32)) == np.signbit(values)).all()


def test_only_what_is_called_is_added() -> None:
    text = loop("f", "float", "bfloat", "fptrunc")
    data = compile_object(text, Target.parse("cpu:avx2"))
    assert b"__truncsfbf2" in data
    assert b"__truncdfhf2" not in data
    assert load_object(data, data.replace(b"\0f\0", b"\0g\0")).address("f")

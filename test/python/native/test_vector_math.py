"""Elementary functions: error in ulp over the whole range, limits, equal lanes.

The ulp of a truth y is 2^(e − p), e = floor(log2 |y|) but no less than the exponent of
the smallest normal number, p = 23 for f32 and 52 for f64. An infinite result counts as
the power of two behind the largest finite number, so that overflow is judged as any
other rounding is. f32 is held against float64, f64 against the x87's 64-bit mantissa.
"""

from __future__ import annotations

import ctypes
import math
import platform
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest

from ix.mlir import PassManager, arith, func, ir, memref, scf, vector
from ix.passes.cpu import vector_math
from ix.passes.cpu.kernel_object import LOWER
from ix.passes.cpu.object_code import compile_object
from ix.passes.cpu.translate import to_llvm_ir
from ix.passes.cpu.vector_math import FUNCTIONS
from ix.runtime.elf import load_object
from ix.target import Target

pytestmark = [
    pytest.mark.skipif(platform.machine() != "x86_64", reason="runs x86 code"),
    # References overflow and meet NaN on purpose.
    pytest.mark.filterwarnings("ignore::RuntimeWarning"),
]

Array = np.ndarray[Any, Any]

BINARY = ("powf", "atan2")
UNARY = tuple(name for name in FUNCTIONS if name not in BINARY)

SPECIAL = [0.0, -0.0, math.inf, -math.inf, math.nan, 1.0, -1.0, 0.5, -0.5, 2.0, -2.0]
SPECIAL += [1e-45, -1e-45, 1.1754944e-38, -1.1754944e-38, 3.4028235e38, -3.4028235e38]


@cache
def compiled(
    name: str, lanes: int = 16, bits: int = 32, target: str = "cpu"
) -> Callable[..., Array]:
    """`name` over whole arrays, `lanes` at a time; 0 lanes are scalars."""
    arguments = 2 if name in BINARY else 1
    with ir.Context(), ir.Location.unknown():
        module = ir.Module.create()
        with ir.InsertionPoint(module.body):
            _emit_map(getattr(vector_math, name), arguments, lanes, bits)
        PassManager.parse(f"builtin.module({LOWER})").run(module.operation)
        text = to_llvm_ir(module)
    code = load_object(compile_object(text, Target.parse(target)))
    pointers = [ctypes.c_void_p] * (arguments + 1)
    call = ctypes.CFUNCTYPE(None, *pointers, ctypes.c_int64)(code.address("map"))

    def run(*inputs: Array) -> Array:
        assert code.size_bytes > 0, "the code lives as long as its caller"
        size = len(inputs[0])
        padded = -(-size // 16) * 16
        arrays = [np.resize(x, padded).astype(f"f{bits // 8}") for x in inputs]
        result = np.full_like(arrays[0], np.nan)
        call(*(each.ctypes.data for each in [*arrays, result]), padded)
        return result[:size]

    return run


def _emit_map(function: Any, arguments: int, lanes: int, bits: int) -> None:
    """func.func @map(inputs…, output, size)."""
    element = ir.F32Type.get() if bits == 32 else ir.F64Type.get()
    index = ir.IndexType.get()
    buffer = ir.MemRefType.get([1 << 40], element)
    op = func.FuncOp("map", ([buffer] * (arguments + 1) + [index], []))
    with ir.InsertionPoint(op.add_entry_block()):
        *inputs, output, size = op.arguments
        zero, step = (arith.constant(index, n) for n in (0, max(lanes, 1)))
        loop = scf.ForOp(zero, size, step)
        with ir.InsertionPoint(loop.body):
            i = [loop.induction_variable]
            if lanes:
                type_ = ir.VectorType.get([lanes], element)
                operands = [vector.load(type_, each, i) for each in inputs]
                vector.store(function(*operands), output, i)
            else:
                operands = [memref.load(each, i) for each in inputs]
                memref.store(function(*operands), output, i)
            scf.YieldOp([])
        func.ReturnOp([])


def ulp_error(got: Array, want: Array, bits: int = 32) -> Array:
    """See above; infinity where one is NaN and the other is not."""
    mantissa, lowest, highest = (23, -126, 127) if bits == 32 else (52, -1022, 1023)
    got = got.astype(want.dtype)
    limit = want.dtype.type(2.0) ** (highest + 1)
    both_nan = np.isnan(got) & np.isnan(want)
    got, want = np.clip(got, -limit, limit), np.clip(want, -limit, limit)
    exponent = np.clip(np.frexp(want)[1] - 1, lowest, highest) - mantissa
    error = np.abs(got - want) / np.ldexp(want.dtype.type(1), exponent)
    return np.where(both_nan, 0.0, np.where(np.isnan(error), np.inf, error))


def _sigmoid(x: Array) -> Array:
    e = np.exp(-np.abs(x))
    return np.where(x < 0, e, 1) / (1 + e)


def _elementwise(function: Callable[[float], float]) -> Callable[[Array], Array]:
    return lambda x: np.frompyfunc(function, 1, 1)(x).astype(np.float64)


def _gelu(x: Array) -> Array:
    """x·erfc(u) / 2, u = −x / √2; what u's rounding to f64 loses joins by a slope."""
    u = -x.astype(np.longdouble) / np.sqrt(np.longdouble(2))
    t = u.astype(np.float64)
    slope = 2 / np.sqrt(np.longdouble(np.pi)) * np.exp(-(t.astype(np.longdouble) ** 2))
    lost = np.where(slope > 0, slope * (u - t), 0)
    erfc = np.maximum(_elementwise(math.erfc)(t) - lost, 0)
    return np.where(x == -np.inf, np.longdouble("-0.0"), x * (erfc / 2))


def _times_sigmoid(x: Array, v: Array) -> Array:
    return np.where(x == -np.inf, -0.0 * np.ones_like(x), x * _sigmoid(v))


def _gelu_tanh(x: Array) -> Array:
    pi = x.dtype.type("3.14159265358979323846264338327950288")
    return _times_sigmoid(
        x, 2 * np.sqrt(2 / pi) * (x + x.dtype.type("0.044715") * x**3)
    )


SCALAR_REFERENCE = {
    "erf": _elementwise(math.erf),
    "erfc": _elementwise(math.erfc),
    "gelu_erf": _gelu,
}
REFERENCE: dict[str, Callable[..., Array]] = {
    "exp_non_positive": np.exp,
    "asinh": np.arcsinh,
    "acosh": np.arccosh,
    "atanh": np.arctanh,
    "asin": np.arcsin,
    "acos": np.arccos,
    "atan": np.arctan,
    "atan2": np.arctan2,
    "powf": np.power,
    "rsqrt": lambda x: 1 / np.sqrt(x),
    "sigmoid": _sigmoid,
    "silu": lambda x: _times_sigmoid(x, x),
    "softplus": lambda x: np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x))),
    "gelu_tanh": _gelu_tanh,
    **SCALAR_REFERENCE,
}


def reference(name: str) -> Callable[..., Array]:
    return REFERENCE.get(name) or getattr(np, name)


@cache
def samples(stride: int, start: int = 0, stop: int = 1 << 32) -> Array:
    """Every `stride`-th f32 by its bits, and those where something changes."""
    bits = np.arange(start, stop, stride, dtype=np.uint64).astype(np.uint32)
    powers = np.ldexp(np.float32(1), np.arange(-149, 128))
    ordinary = np.arange(-200, 200, 0.125, dtype=np.float32)
    quarters = np.arange(-4000, 4000) * (np.pi / 4)
    near_one = 1 + np.arange(-999, 999, dtype=np.float32) * np.float32(2**-23)
    edges = np.float32([88.72284, 88.72283, -103.97208, -87.33655, 709.78, 1024, 128])
    parts = [SPECIAL, powers, -powers, ordinary, quarters, near_one, edges, -edges]
    return np.concatenate([bits.view(np.float32), *map(np.float32, parts)])


FLUSHING = ("exp_non_positive", "gelu_erf")
"""Functions that give 0 in place of denormals."""


def check(
    name: str, got: Array, inputs: list[Array], bits: int = 32, slack: float = 0.0
) -> None:
    """Asserts the documented error and so many ulp more, and the sign of zeros."""
    wide = np.float64 if bits == 32 else np.longdouble
    bound = FUNCTIONS[name].max_ulp_f32 if bits == 32 else FUNCTIONS[name].max_ulp_f64
    want = reference(name)(*(x.astype(wide) for x in inputs))
    error = ulp_error(got, want, bits)
    if name in FLUSHING:
        least = 2.0 ** (-126 if bits == 32 else -1022)
        flushed = np.abs(want) < least * 1.001
        assert np.all(np.abs(got[flushed]) <= least * 1.001)
        error[flushed] = 0
    worst = int(np.argmax(error))
    assert error[worst] <= bound + slack, (
        f"{error[worst]:.3f} ulp at {[x[worst] for x in inputs]}: "
        f"{got[worst]}, not {want[worst]}"
    )
    zero = (want == 0) & (got == 0)
    assert np.array_equal(np.signbit(got[zero]), np.signbit(want[zero]))


def sampled(name: str, x: Array) -> Array:
    """`x` within the domain of the functions that have one."""
    return -np.abs(x) if name == "exp_non_positive" else x


@pytest.mark.parametrize("name", UNARY)
def test_f32_error_is_as_documented(name: str) -> None:
    x = sampled(name, samples(20411 if name in SCALAR_REFERENCE else 2039))
    check(name, compiled(name)(x), [x])


@pytest.mark.slow
@pytest.mark.parametrize("name", UNARY)
def test_f32_error_over_every_97th_float(name: str) -> None:
    run = compiled(name)
    block = 97 << 21
    for start in range(0, 1 << 32, block):
        bits = np.arange(start, min(start + block, 1 << 32), 97, dtype=np.uint64)
        x = sampled(name, bits.astype(np.uint32).view(np.float32))
        check(name, run(x), [x])


@pytest.mark.parametrize("name", BINARY)
def test_f32_error_of_two_operands(name: str) -> None:
    generator = np.random.default_rng()
    size = 1 << 17

    def kinds() -> list[Array]:
        any_bits = generator.integers(0, 1 << 32, size, dtype=np.uint32)
        return [
            any_bits.view(np.float32),
            np.exp(generator.uniform(-5, 5, size)).astype(np.float32),
            generator.normal(size=size).astype(np.float32) * 10,
            generator.integers(-20, 20, size).astype(np.float32),
            generator.choice(np.float32([*SPECIAL, 3, -3, 2**24, 1 - 2**24]), size),
            (1 + generator.uniform(-1e-4, 1e-4, size)).astype(np.float32),
        ]

    for x in kinds():
        for y in kinds():
            check(name, compiled(name)(x, y), [x, y])


def test_powf_takes_all_special_cases_as_numpy() -> None:
    special = np.float32([*SPECIAL, 3, -3, 4, 2**24, 2**24 - 1, 1e30, 0.1, 1 + 1e-7])
    x, y = (each.ravel() for each in np.meshgrid(special, special))
    check("powf", compiled("powf")(x, y), [x, y])


@pytest.mark.parametrize(
    ("name", "x", "want"),
    [
        ("exp", -math.inf, 0.0),
        ("exp", -103.0, 1e-45),
        ("exp_non_positive", -math.inf, 0.0),
        ("log", 1e-45, math.log(2.0**-149)),
        ("log2", 1e-45, -149.0),
        ("log", -0.0, -math.inf),
        ("log1p", -1.0, -math.inf),
        ("log10", 1000.0, 3.0),
        ("gelu_erf", -math.inf, -0.0),
        ("gelu_tanh", -math.inf, -0.0),
        ("silu", -math.inf, -0.0),
        ("gelu_erf", math.inf, math.inf),
        ("silu", math.inf, math.inf),
        ("sigmoid", -math.inf, 0.0),
        ("sigmoid", math.inf, 1.0),
        ("softplus", -math.inf, 0.0),
        ("softplus", 1e30, 1e30),
        ("erf", 4.0, 1.0),
        ("tanh", -math.inf, -1.0),
        ("sin", math.inf, math.nan),
        ("cos", 1e-30, 1.0),
        ("acosh", -1e30, math.nan),
        ("rsqrt", -0.0, -math.inf),
        ("cbrt", -27.0, -3.0),
    ],
)
@pytest.mark.parametrize("bits", [32, 64])
def test_limits(name: str, x: float, want: float, bits: int) -> None:
    if bits == 64 and 0 < abs(x) < 1e-40:
        pytest.skip("not a limit of f64")
    (got,) = compiled(name, bits=bits)(np.array([x]))
    kind = np.float32 if bits == 32 else np.float64
    want = math.exp(x) if bits == 64 and x == -103.0 else want
    assert got == pytest.approx(kind(want), rel=1e-7, abs=0, nan_ok=True)
    assert math.isnan(want) or math.copysign(1, got) == math.copysign(1, want)


@pytest.mark.parametrize("name", ["sin", "cos", "tan"])
def test_large_arguments_are_reduced_exactly(name: str) -> None:
    generator = np.random.default_rng()
    mantissa = generator.integers(1 << 23, 1 << 24, 1 << 18)
    exponent = generator.integers(-8, 105, 1 << 18)
    # The f32 nearest to a multiple of π/2 (Muller, "Elementary Functions", ch. 11).
    hardest = np.float32([16367173 * 2.0**72, -16367173 * 2.0**72])
    x = np.concatenate([np.ldexp(mantissa.astype(np.float32), exponent), hardest])
    check(name, compiled(name)(x), [x])


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_length_gives_the_same_bits(name: str) -> None:
    inputs = [samples(1_000_003)[::-1], samples(1_000_003)][: 1 + (name in BINARY)]
    want = compiled(name)(*inputs)
    for lanes in (0, 4, 8):
        got = compiled(name, lanes)(*inputs)
        same = got.view(np.uint32) == want.view(np.uint32)
        assert np.all(same | (np.isnan(got) & np.isnan(want))), lanes


@pytest.mark.parametrize("name", FUNCTIONS)
def test_without_fma_the_error_is_little_more(name: str) -> None:
    run = compiled(name, lanes=4, target="cpu:generic")
    x = sampled(name, samples(200_003))
    inputs = [x, x[::-1]] if name in BINARY else [x]
    check(name, run(*inputs), inputs, slack=1.0)


@cache
def wide_samples() -> Array:
    generator = np.random.default_rng(20)
    size = 1 << 17
    any_bits = generator.integers(0, 1 << 64, size, dtype=np.uint64).view(np.float64)
    powers = np.ldexp(1.0, np.arange(-1074, 1024))
    parts = [
        generator.normal(size=size) * np.exp(generator.uniform(-5, 5, size)),
        generator.uniform(-760, 760, size),
        1 + generator.uniform(-0.5, 0.5, size),
        1 + generator.normal(size=size) * 1e-6,
        np.array([*SPECIAL, 5e-324, -5e-324, 2.2250738585072014e-308, 1e-310]),
        np.array([709.782712893384, 709.7827128933841, -745.1332191019412]),
    ]
    return np.concatenate([any_bits, powers, -powers, *parts])


@pytest.mark.skipif(np.finfo(np.longdouble).nmant < 63, reason="needs the x87's format")
@pytest.mark.parametrize("name", [n for n in UNARY if n not in SCALAR_REFERENCE])
def test_f64_error_is_as_documented(name: str) -> None:
    x = sampled(name, wide_samples())
    check(name, compiled(name, lanes=8, bits=64)(x), [x], bits=64)


@pytest.mark.skipif(np.finfo(np.longdouble).nmant < 63, reason="needs the x87's format")
@pytest.mark.parametrize("name", BINARY)
def test_f64_error_of_two_operands(name: str) -> None:
    run = compiled(name, lanes=8, bits=64)
    generator = np.random.default_rng()
    size = 1 << 15
    kinds = [
        generator.integers(0, 1 << 64, size, dtype=np.uint64).view(np.float64),
        np.exp(generator.uniform(-5, 5, size)),
        generator.uniform(-700, 700, size),
        generator.integers(-20, 20, size).astype(np.float64),
        1 + generator.uniform(-1e-9, 1e-9, size),
        generator.uniform(-1e12, 1e12, size),
        generator.choice(np.array([*SPECIAL, 3, -3, 2.0**53, 1 - 2.0**53]), size),
    ]
    for x in kinds:
        for y in kinds:
            check(name, run(x, y), [x, y], bits=64)


@pytest.mark.parametrize("name", SCALAR_REFERENCE)
def test_f64_error_of_the_error_functions(name: str) -> None:
    x = wide_samples()[::7]
    want = SCALAR_REFERENCE[name](x)
    error = ulp_error(compiled(name, lanes=8, bits=64)(x), want, bits=64)
    bound = FUNCTIONS[name].max_ulp_f64
    # The truth is libm's in f64, itself off by a few ulp in erfc's tail, and by more
    # where a factor is denormal.
    error[np.abs(want) < 1e-305] = 0
    worst = int(np.argmax(error))
    assert error[worst] <= bound + 3.0, (error[worst], x[worst])

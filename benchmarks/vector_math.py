"""Elementary functions: ns per element and error, against NumPy and torch.

    python benchmarks/vector_math.py [--functions exp,tanh] [--bits 64] [--json FILE]

One thread, arrays that stay in L1. Contenders run in turn, slice by slice; the best
slice of each counts, since other load can only add to it. Every contender's result is
held against a wider format in the same run, and ix's must keep its documented error.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import math
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

from ix.mlir import PassManager, arith, func, ir, scf, vector
from ix.passes.cpu import vector_math
from ix.passes.cpu.kernel_object import LOWER
from ix.passes.cpu.object_code import compile_object
from ix.passes.cpu.translate import to_llvm_ir
from ix.passes.cpu.vector_math import FUNCTIONS
from ix.runtime.elf import LoadedCode, load_object
from ix.target import Target

Array = np.ndarray[Any, Any]
Call = Callable[[], object]

CONTENDERS = ("ix", "numpy", "torch")
BINARY = ("atan2", "powf")
DOMAIN = {
    "acos": (-1.0, 1.0),
    "acosh": (1.0, 50.0),
    "asin": (-1.0, 1.0),
    "atanh": (-0.99, 0.99),
    "exp_non_positive": (-20.0, 0.0),
    "log": (0.01, 100.0),
    "log10": (0.01, 100.0),
    "log1p": (-0.9, 10.0),
    "log2": (0.01, 100.0),
    "powf": (0.01, 5.0),
    "rsqrt": (0.01, 100.0),
}
NUMPY = {
    "acos": "arccos",
    "acosh": "arccosh",
    "asin": "arcsin",
    "asinh": "arcsinh",
    "atan": "arctan",
    "atan2": "arctan2",
    "atanh": "arctanh",
    "exp_non_positive": "exp",
    "powf": "power",
}
TORCH = {"exp_non_positive": "exp", "powf": "pow"}


def _sigmoid(x: Array) -> Array:
    return np.asarray(1 / (1 + np.exp(-x)))


def _scalar(function: Callable[[float], float]) -> Callable[[Array], Array]:
    """Of f64 also for f64: the error shown is then that of both."""
    return lambda x: np.frompyfunc(function, 1, 1)(x).astype(np.float64)


def _gelu(x: Array) -> Array:
    """x·erfc(u) / 2, u = −x / √2; what u's rounding to f64 loses joins by a slope."""
    u = -x.astype(np.longdouble) / np.sqrt(np.longdouble(2))
    t = u.astype(np.float64)
    slope = (
        2 / np.sqrt(np.longdouble(math.pi)) * np.exp(-(t.astype(np.longdouble) ** 2))
    )
    return np.asarray(x * (_scalar(math.erfc)(t) - slope * (u - t)) / 2)


EXACT: dict[str, Callable[..., Array]] = {
    "erf": _scalar(math.erf),
    "erfc": _scalar(math.erfc),
    "gelu_erf": _gelu,
    "gelu_tanh": lambda x: (
        x
        * _sigmoid(
            2
            * np.sqrt(2 / (4 * np.arctan(x.dtype.type(1))))
            * (x + x.dtype.type("0.044715") * x**3)
        )
    ),
    "rsqrt": lambda x: 1 / np.sqrt(x),
    "sigmoid": _sigmoid,
    "silu": lambda x: x * _sigmoid(x),
    "softplus": lambda x: np.log1p(np.exp(-np.abs(x))) + np.maximum(x, 0),
}


class Contender(NamedTuple):
    """A function on fixed buffers, and where its result lies."""

    call: Call
    result: Array
    compile_ms: float = 0.0


class Row(NamedTuple):
    """One contender's figures for one function."""

    ns_per_element: float
    max_ulp: float
    compile_ms: float


def compiled(name: str, size: int, bits: int) -> LoadedCode:
    """Machine code of @map(inputs…, output) over `size` elements."""
    with ir.Context(), ir.Location.unknown():
        element = ir.F32Type.get() if bits == 32 else ir.F64Type.get()
        index, lanes = ir.IndexType.get(), Target.parse("cpu").lanes(bits)
        buffer = ir.MemRefType.get([size], element)
        type_ = ir.VectorType.get([lanes], element)
        module = ir.Module.create()
        with ir.InsertionPoint(module.body):
            op = func.FuncOp("map", ([buffer] * (3 if name in BINARY else 2), []))
        with ir.InsertionPoint(op.add_entry_block()):
            *inputs, output = op.arguments
            low, high, step = (arith.constant(index, n) for n in (0, size, lanes))
            loop = scf.ForOp(low, high, step)
            with ir.InsertionPoint(loop.body):
                at = [loop.induction_variable]
                operands = [vector.load(type_, each, at) for each in inputs]
                vector.store(getattr(vector_math, name)(*operands), output, at)
                scf.YieldOp([])
            func.ReturnOp([])
        PassManager.parse(f"builtin.module({LOWER})").run(module.operation)
        text = to_llvm_ir(module)
    return load_object(compile_object(text, Target.parse("cpu")))


def aligned(size: int, bits: int) -> Array:
    """An f32 or f64 array at a 64-byte boundary, full of NaN."""
    raw = np.full(size + 16, np.nan, f"f{bits // 8}")
    start = (-raw.ctypes.data % 64) // raw.itemsize
    return raw[start : start + size]


def result_for(inputs: list[Array]) -> Array:
    return aligned(inputs[0].size, 8 * inputs[0].itemsize)


def ix_contender(name: str, inputs: list[Array]) -> Contender:
    start = time.perf_counter()
    code = compiled(name, inputs[0].size, 8 * inputs[0].itemsize)
    compile_ms = (time.perf_counter() - start) * 1e3
    result = result_for(inputs)
    pointers = [each.ctypes.data for each in [*inputs, result]]
    kind = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * len(pointers))
    function = kind(code.address("map"))

    def call(_: LoadedCode = code) -> None:
        function(*pointers)

    return Contender(call, result, compile_ms)


def numpy_contender(name: str, inputs: list[Array]) -> Contender | None:
    function = getattr(np, NUMPY.get(name, name), None)
    if function is None:
        return None
    result = result_for(inputs)
    return Contender(lambda: function(*inputs, out=result), result)


def torch_contender(name: str, inputs: list[Array]) -> Contender | None:
    try:
        import torch
    except ImportError:
        return None
    torch.set_num_threads(1)
    tensors = [torch.from_numpy(each) for each in inputs]
    result = result_for(inputs)
    out = torch.from_numpy(result)
    if name in ("gelu_erf", "gelu_tanh"):
        approximate = "tanh" if name == "gelu_tanh" else "none"
        gelu = torch.ops.aten.gelu.out
        return Contender(
            lambda: gelu(*tensors, approximate=approximate, out=out), result
        )
    if name in ("silu", "softplus"):
        function = getattr(torch.ops.aten, name).out
    else:
        function = getattr(torch, TORCH.get(name, name), None)
    if function is None:
        return None
    return Contender(lambda: function(*tensors, out=out), result)


def race(contenders: dict[str, Contender], rounds: int) -> dict[str, float]:
    """Seconds per call of each in its best slice of 0.5 ms, taken in turn."""
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for each in contenders.values():
        each.call()
    for _ in range(rounds):
        for name, each in contenders.items():
            count, start = 0, time.perf_counter()
            while (now := time.perf_counter()) - start < 5e-4:
                for _ in range(20):
                    each.call()
                count += 20
            times[name].append((now - start) / count)
    return {name: min(found) for name, found in times.items()}


def max_ulp(got: Array, want: Array) -> float:
    """Greatest error in units of the last place that `got` could hold of the truth."""
    kind = np.finfo(got.dtype)
    exponent = np.maximum(np.frexp(want)[1] - 1, kind.minexp) - kind.nmant
    unit = np.ldexp(want.dtype.type(1), exponent)
    return float(np.max(np.abs(got - want) / unit))


def measure(name: str, size: int, bits: int, rounds: int) -> dict[str, Row]:
    """ns per element and error of each contender for one function."""
    generator = np.random.default_rng()
    inputs = [aligned(size, bits) for _ in range(2 if name in BINARY else 1)]
    for each in inputs:
        each[:] = generator.uniform(*DOMAIN.get(name, (-5.0, 5.0)), size)
    exact = EXACT.get(name) or getattr(np, NUMPY.get(name, name))
    wide = np.float64 if bits == 32 else np.longdouble
    want = exact(*(each.astype(wide) for each in inputs))
    found = {
        "ix": ix_contender(name, inputs),
        "numpy": numpy_contender(name, inputs),
        "torch": torch_contender(name, inputs),
    }
    contenders = {each: what for each, what in found.items() if what is not None}
    seconds = race(contenders, rounds)
    return {
        each: Row(
            seconds[each] / size * 1e9, max_ulp(what.result, want), what.compile_ms
        )
        for each, what in contenders.items()
    }


def documented(name: str, bits: int) -> float:
    """The greatest error that ix promises."""
    entry = FUNCTIONS[name]
    if bits == 32:
        return entry.max_ulp_f32
    bound = entry.max_ulp_f64
    # The truth of the error functions is an f64 itself.
    return bound + 3 if name in ("erf", "erfc", "gelu_erf") else bound


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--functions", default=",".join(FUNCTIONS), metavar="A,B")
    parser.add_argument("--size", type=int, default=4096, help="elements")
    parser.add_argument("--bits", type=int, choices=(32, 64), default=32)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()
    report, wrong = {}, []
    print(f"{'':16}" + "".join(f"{each:>8} ns{'ulp':>8}" for each in CONTENDERS))
    for name in options.functions.split(","):
        rows = measure(name, options.size, options.bits, options.rounds)
        report[name] = {each: row._asdict() for each, row in rows.items()}
        line = "".join(
            f"{rows[each].ns_per_element:11.3f}{rows[each].max_ulp:8.3g}"
            if each in rows
            else f"{'–':>11}{'–':>8}"
            for each in CONTENDERS
        )
        print(f"{name:16}{line}", flush=True)
        if not rows["ix"].max_ulp <= documented(name, options.bits):
            wrong.append(name)
    if options.json:
        options.json.write_text(json.dumps(report, indent=1) + "\n")
    for name in wrong:
        print(f"{name}: error above the documented bound", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())

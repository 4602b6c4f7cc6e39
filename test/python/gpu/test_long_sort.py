"""Sorts of lines that no block holds, and of 64-bit elements, on the emulator."""

from __future__ import annotations

from typing import Any

import compiled_runner
import numpy as np
import pytest
from gpu_runner import Assembler, GpuRunner
from lowering_check import module_of, type_text

import ix
from ix.dialects import context
from ix.dialects.ix import SortOp, TopkOp
from ix.dialects.ix.reference import evaluate
from ix.mlir import ir

RNG = np.random.default_rng()

# Just more than a part, three parts, a part and its neighbour's first key.
LINES = [
    ("float32", (1, 4097)),
    ("float32", (2, 9000)),
    ("int16", (1, 5000)),
    ("int64", (1, 2049)),
    ("float64", (2, 5000)),
    ("float64", (3, 700)),
    ("int64", (4, 33)),
]


def numbers(dtype: str, *shape: int) -> Any:
    """Whole numbers with many ties, and NaN."""
    x = RNG.integers(-500, 500, shape).astype(dtype)
    if dtype.startswith("float"):
        x[..., 5] = np.nan
    return x


def compare(gpu: GpuRunner, body: Any, x: Any) -> None:
    with context(), ir.Location.unknown():
        module = module_of([type_text(x)], body)
        program = compiled_runner.program_of(module, [list(x.shape)])
        want = evaluate(program.module, [x])
        executable = gpu.compile_program(program)
        if isinstance(gpu, Assembler):
            return
        found = executable.run_flat([x])
    for got, expected in zip(found, want, strict=True):
        np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("line", range(len(LINES)))
def test_long_lines(gpu: GpuRunner, line: int, descending: bool) -> None:
    dtype, shape = LINES[line]

    def body(x: Any) -> list[Any]:
        return list(SortOp.build(x, axis=1, descending=descending))

    compare(gpu, body, numbers(dtype, *shape))


@pytest.mark.parametrize("kept", [1, 50, 4500])
@pytest.mark.parametrize("dtype", ["float32", "int64"])
def test_top_of_long_lines(gpu: GpuRunner, dtype: str, kept: int) -> None:
    def body(x: Any) -> list[Any]:
        return list(TopkOp.build(x, k=kept, axis=1, largest=True))

    compare(gpu, body, numbers(dtype, 2, 5000))


def test_lines_of_another_axis(gpu: GpuRunner) -> None:
    x = RNG.integers(-9, 9, (4100, 2)).astype(np.float32)
    found = ix.jit(lambda x: np.argsort(x, axis=0, kind="stable"))(x)
    np.testing.assert_array_equal(found, np.argsort(x, axis=0, kind="stable"))


def test_the_top_leaves_few_keys() -> None:
    """Parts of a line leave as many keys as are kept, not all of theirs."""
    gpu = GpuRunner("sm_90a")

    def body(x: Any) -> list[Any]:
        return list(TopkOp.build(x, k=8, axis=1, largest=True))

    compare(gpu, body, numbers("float32", 1, 12000))
    ((symbol, counters),) = gpu.launches
    assert "long_sort" in symbol
    assert counters["global_store_sectors"] < 100

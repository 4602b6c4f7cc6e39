"""Scatters on the emulator: equal indices, lines of all kinds, bits as one thread's."""

from __future__ import annotations

from typing import Any

import compiled_runner
import numpy as np
import pytest
from gpu_runner import Assembler, GpuRunner
from lowering_check import module_of, type_text

from ix.dialects import context, ix
from ix.mlir import ir

RNG = np.random.default_rng()
REDUCTIONS = ["none", "add", "mul", "max", "min"]
DTYPES = ["float32", "float16", "int64", "int8"]


def numbers(dtype: str, *shape: int) -> Any:
    if dtype.startswith("float"):
        return RNG.standard_normal(shape).astype(dtype)
    return RNG.integers(-5, 6, shape).astype(dtype)


def combined(reduction: str, old: Any, new: Any) -> Any:
    if reduction == "none":
        return new
    function = {
        "add": np.add,
        "mul": np.multiply,
        "max": np.maximum,
        "min": np.minimum,
    }[reduction]
    with np.errstate(over="ignore"):
        return function(old, new)


def scattered(reduction: str, axis: int, x: Any, indices: Any, updates: Any) -> Any:
    """One update after the other, rounded to the dtype after each."""
    result = x.copy()
    for at in np.ndindex(*indices.shape):
        place = list(at)
        place[axis] = indices[at]
        if -x.shape[axis] <= indices[at] < x.shape[axis]:
            old = result[tuple(place)]
            result[tuple(place)] = combined(reduction, old, updates[at])
    return result


def scattered_nd(reduction: str, x: Any, indices: Any, updates: Any) -> Any:
    result = x.copy()
    depth = indices.shape[-1]
    for at in np.ndindex(*indices.shape[:-1]):
        place = tuple(indices[at])
        limits = zip(place, x.shape[:depth], strict=True)
        if all(-size <= i < size for i, size in limits):
            result[place] = combined(reduction, result[place], updates[at])
    return result


def run(gpu: GpuRunner, want: Any, body: Any, *arrays: Any) -> None:
    """Compares bits; the reference that stands in for ptxas takes valid indices only."""
    with context(), ir.Location.unknown():
        module = module_of([type_text(each) for each in arrays], body)
        program = compiled_runner.program_of(
            module, [list(each.shape) for each in arrays]
        )
        executable = gpu.compile_program(program)
        if isinstance(gpu, Assembler):
            return
        (found,) = executable.run_flat(arrays)
    np.testing.assert_array_equal(found, want)


def check(
    gpu: GpuRunner, reduction: str, axis: int, x: Any, indices: Any, updates: Any
) -> None:
    def body(*values: Any) -> list[Any]:
        return [ix.ScatterOp.build(*values, axis=axis, reduction=reduction)]

    want = scattered(reduction, axis, x, indices, updates)
    run(gpu, want, body, x, indices, updates)


def check_nd(
    gpu: GpuRunner, reduction: str, x: Any, indices: Any, updates: Any
) -> None:
    def body(*values: Any) -> list[Any]:
        return [ix.ScatterNdOp.build(*values, reduction=reduction)]

    want = scattered_nd(reduction, x, indices, updates)
    run(gpu, want, body, x, indices, updates)


# Shape of x and of the indices, the axis: chunks of a line, more than one of them, fewer
# lines than x has; rows side by side, as many as a warp has and more.
SHAPES = [
    ((3, 50), (3, 70), 1),
    ((9000,), (700,), 0),
    ((4, 3, 20), (2, 2, 31), 2),
    ((40, 33), (21, 33), 0),
    ((200, 64), (9, 50), 0),
    ((2, 30, 40), (1, 50, 37), 1),
]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("shape", range(len(SHAPES)))
def test_scatter(gpu: GpuRunner, shape: int, reduction: str, dtype: str) -> None:
    of_x, of_indices, axis = SHAPES[shape]
    size = of_x[axis]
    indices = RNG.integers(-size - 1, size + 1, of_indices)
    x, updates = numbers(dtype, *of_x), numbers(dtype, *of_indices)
    check(gpu, reduction, axis, x, indices, updates)


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("places", [1, 3])
def test_equal_indices(gpu: GpuRunner, places: int, reduction: str) -> None:
    """Many updates of few elements: the order of additions shows in the bits."""
    indices = RNG.integers(0, places, (2, 600))
    x, updates = numbers("float32", 2, 5), numbers("float32", 2, 600)
    check(gpu, reduction, 1, x, indices, updates)


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize(
    ("of_x", "of_indices"),
    [
        ((50, 64), (30, 1)),
        ((6, 7, 33), (4, 5, 2)),
        ((300,), (40, 1)),
        ((40, 5), (33, 1)),
        ((5, 6, 7), (100, 3)),
        ((4, 32), (2, 0)),
    ],
)
@pytest.mark.parametrize("dtype", ["float32", "float16", "int64"])
def test_scatter_nd(
    gpu: GpuRunner, of_x: Any, of_indices: Any, reduction: str, dtype: str
) -> None:
    *points, depth = of_indices
    limits = np.array(of_x[:depth], np.int64)
    indices = RNG.integers(-limits - 1, limits + 1, of_indices)
    updates = numbers(dtype, *points, *of_x[depth:])
    check_nd(gpu, reduction, numbers(dtype, *of_x), indices, updates)


def test_a_few_rows_of_many_are_copied_by_whole_vectors() -> None:
    gpu = GpuRunner("sm_90a")
    x, updates = numbers("float32", 512, 128), numbers("float32", 4, 128)
    check_nd(gpu, "none", x, RNG.integers(0, 512, (4, 1)), updates)
    ((_, counters),) = gpu.launches
    assert counters["global_store_sectors"] <= 1.02 * (512 + 4) * 128 / 8
    assert counters["global_store_requests"] <= (512 + 4) * 128 / 4 / 32

"""Matmul on AMX's tiles: float32 from parts of bfloat16, and what tiles cannot say."""

from __future__ import annotations

import itertools
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from ix.passes.schedule.microkernel.tile_matmul import (
    emit_tile_matmul,
    plan_tile_matmul,
)
from ix.passes.schedule.microkernel.tile_product import PARTS, part_products
from ix.passes.schedule.packing import tile_panels
from ix.runtime.sizes import evaluate
from ix.target import Target, host_missing

needs_tiles = pytest.mark.skipif(
    bool(host_missing(Target.parse("cpu:amx"))),
    reason=f"this processor lacks {', '.join(host_missing(Target.parse('cpu:amx')))}",
)

SHAPES = [
    (16, 32, 32),
    (32, 64, 32),
    (17, 33, 31),
    (33, 1, 1),
    (49, 45, 100),
    (129, 70, 64),
    (200, 600, 40),
    (112, 70, 300),
    (64, 40, 1100),
    (37, 50, 2100),
]
"""m, n, k: whole and broken tiles, several blocks, groups and cuts of k."""


def dtype_of(name: str) -> np.dtype[Any]:
    return np.dtype({"bf16": ml_dtypes.bfloat16, "f16": "f2", "f32": "f4"}[name])


@pytest.fixture
def rng() -> np.random.Generator:
    """A new seed for each run, which a failure prints."""
    seed = int(np.random.SeedSequence().entropy) % 2**32
    print(f"seed {seed}")
    return np.random.default_rng(seed)


def run(
    native_kernel: Any,
    guarded: Any,
    a: np.ndarray,
    b: np.ndarray,
    *,
    rows: int | None = None,
) -> np.ndarray:
    """A · B; with `rows`, of the first rows alone, a number known at run time."""
    m, k = a.shape
    n = b.shape[1]
    types = [_name(a), _name(b)]
    size: Any = m if rows is None else ("dim", 0)
    plan = plan_tile_matmul(size, m, n, k, a=types[0], b=types[1])
    packed = tile_panels(k, n, plan.parts_b, transposed=False).apply(b)
    assert packed.shape == plan.packed_shape

    def emit(b: Any, a: Any, right: Any, c: Any, *, scratch: Any, **items: Any) -> None:
        emit_tile_matmul(
            b,
            plan,
            read_a=lambda i, k: b.load_scalar(a, i, k),
            read_row=lambda i, k, lanes: b.load(a, i, k, lanes=lanes),
            finish=lambda i, j, lanes, value: b.store(value, c, i, j, lanes=lanes),
            packed_b=right,
            scratch=scratch,
            **items,
        )

    buffers = [(a.shape, types[0]), (packed.shape, "i16"), ((m, n), "f32")]
    kernel = native_kernel(
        emit, buffers, target="cpu:amx", dims=1, scratch_bytes=plan.scratch_bytes
    )
    c = guarded((m if rows is None else rows, n))
    items = evaluate(plan.items, [rows])
    kernel(a, packed, c.array, items=items, dims=[m if rows is None else rows])
    return np.array(c.check())


def _name(array: np.ndarray) -> str:
    return next(name for name in PARTS if dtype_of(name) == array.dtype)


def _normal(rng: Any, *shape: int) -> np.ndarray:
    """Numbers of many magnitudes."""
    scale = np.exp(3 * rng.standard_normal(shape))
    return (rng.standard_normal(shape) * scale).astype(np.float32)


def _error(got: np.ndarray, a: np.ndarray, b: np.ndarray) -> float:
    """The largest difference, in units of Σ |a| |b|."""
    a, b = a.astype(np.float64), b.astype(np.float64)
    return float((np.abs(got - a @ b) / (np.abs(a) @ np.abs(b))).max())


def sum_error(k: int) -> float:
    """What float32 sums of k products may be off by, in units of Σ |a| |b|.

    The parts of x are below |x|, 2⁻⁹ |x| and 2⁻¹⁸ |x|, so what is left out is below 2⁻²⁶.
    k times six products need k + 5 additions in a row at most, each within 2⁻²⁴ of a
    partial sum. Of many, the errors mostly cancel: 40 is far beyond what n = 2100 needs.
    """
    return 2**-26 + min(k + 5, 40) * 2**-24


@needs_tiles
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_every_edge_to_the_precision_of_float32(
    native_kernel: Any, guarded: Any, rng: np.random.Generator, shape: tuple[int, ...]
) -> None:
    m, n, k = shape
    a, b = _normal(rng, m, k), _normal(rng, k, n)
    got = run(native_kernel, guarded, a, b)
    assert _error(got, a, b) < sum_error(k)


@needs_tiles
@pytest.mark.parametrize("types", list(itertools.product(PARTS, PARTS)), ids=str)
def test_narrow_operands_have_fewer_parts(
    native_kernel: Any, guarded: Any, rng: np.random.Generator, types: tuple[str, str]
) -> None:
    a, b = rng.standard_normal((40, 70)), rng.standard_normal((70, 50))
    a, b = a.astype(dtype_of(types[0])), b.astype(dtype_of(types[1]))
    got = run(native_kernel, guarded, a, b)
    assert _error(got, a, b) < 2**-21


@needs_tiles
@pytest.mark.parametrize("rows", [1, 16, 17, 32, 33, 128, 129, 150])
def test_rows_known_at_run_time(
    native_kernel: Any, guarded: Any, rng: np.random.Generator, rows: int
) -> None:
    a, b = _normal(rng, 150, 40), _normal(rng, 40, 33)
    got = run(native_kernel, guarded, a, b, rows=rows)
    assert _error(got, a[:rows], b) < 2**-20


@needs_tiles
@pytest.mark.parametrize("k", [40, 1500])
def test_infinities_and_nans_are_those_of_float32(
    native_kernel: Any, guarded: Any, rng: np.random.Generator, k: int
) -> None:
    a, b = rng.standard_normal((70, k)), rng.standard_normal((k, 40))
    a[3, 5], a[40, 6], a[41, 7] = np.inf, -np.inf, np.nan
    b[8, 9], b[5, 10], b[9, 11] = np.inf, 0, -np.inf
    a, b = a.astype(np.float32), b.astype(np.float32)
    got = run(native_kernel, guarded, a, b)
    with np.errstate(invalid="ignore"):
        want = a.astype(np.float64) @ b.astype(np.float64)
    special = ~np.isfinite(want)
    assert special.any() and not special.all()
    np.testing.assert_array_equal(got[special], want[special].astype(np.float32))
    np.testing.assert_allclose(got[~special], want[~special], rtol=1e-3, atol=1e-4)


@needs_tiles
def test_values_beyond_the_largest_bfloat16(native_kernel: Any, guarded: Any) -> None:
    largest = np.finfo(np.float32).max
    a, b = np.zeros((32, 33), np.float32), np.zeros((33, 20), np.float32)
    a[0, 0], b[0, 0] = largest, 0.25
    a[20, 2], b[2, 3] = 0.125, -largest
    got = run(native_kernel, guarded, a, b)
    want = a.astype(np.float64) @ b.astype(np.float64)
    np.testing.assert_array_equal(got, want.astype(np.float32))


@needs_tiles
def test_what_underflows_is_below_the_smallest_normal(
    native_kernel: Any, guarded: Any, rng: np.random.Generator
) -> None:
    a, b = _normal(rng, 32, 64) * np.float32(1e-30), _normal(rng, 64, 32)
    got = run(native_kernel, guarded, a, b)
    a, b = a.astype(np.float64), b.astype(np.float64)
    bound = 2**-20 * (np.abs(a) @ np.abs(b)) + 2.0**-125 * (np.abs(b).sum(0) + 1)
    assert (np.abs(got - a @ b) <= bound).all()


@pytest.mark.parametrize("transposed", [False, True])
def test_parts_sum_up_to_the_weights(
    rng: np.random.Generator, transposed: bool
) -> None:
    b = _normal(rng, 70, 45)
    b[3, 4], b[5, 6], b[7, 8] = np.inf, np.nan, np.finfo(np.float32).max
    stored = np.ascontiguousarray(b.T) if transposed else b
    packed = tile_panels(70, 45, 3, transposed=transposed).apply(stored)
    parts = (packed.view(np.uint16).astype(np.uint32) << 16).view(np.float32)
    total = (parts[:, :, 2] + parts[:, :, 1]) + parts[:, :, 0]
    flat = total.reshape(2, 3, 2, 16, 16, 2).transpose(1, 3, 5, 0, 2, 4).reshape(96, 64)
    np.testing.assert_array_equal(flat[:70, :45], b)
    flat[:70, :45] = 0
    assert not flat.any()


@pytest.mark.parametrize("parts", list(itertools.product((1, 2, 3), repeat=2)), ids=str)
def test_products_leave_out_what_is_small(parts: tuple[int, int]) -> None:
    order = part_products(*parts)
    want = {(p, q) for p in range(parts[0]) for q in range(parts[1]) if p + q <= 2}
    assert len(order) == len(want) and set(order) == want
    assert all(x[0] == y[0] or x[1] == y[1] for x, y in itertools.pairwise(order))


@pytest.mark.parametrize("m", [16, 128, 1000])
@pytest.mark.parametrize("k", [32, 1024, 1025, 4096])
def test_plan_keeps_the_scratch_in_a_cache(m: int, k: int) -> None:
    plan = plan_tile_matmul(m, m, 4096, k, a="f32", b="f32")
    assert plan.scratch_bytes <= 1 << 20
    assert -(-m // plan.block_rows) * plan.panels == plan.items
    assert plan.is_cut == (k > 1024)

"""Matmul kernels against float64 NumPy: edges, modes, types, targets."""

from __future__ import annotations

import platform
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from ix.mlir import arith
from ix.passes.schedule.microkernel.matmul import (
    MatmulPlan,
    emit_matmul,
    pack_b,
    plan_matmul,
    unpack_b,
)
from ix.runtime.sizes import evaluate
from ix.target import Target

pytestmark = pytest.mark.skipif(platform.machine() != "x86_64", reason="runs x86 code")

Array = np.ndarray[Any, Any]

SHAPES = [
    (8, 32, 16),
    (1, 5, 7),
    (3, 33, 5),
    (37, 255, 129),
    (13, 300, 64),
    (130, 70, 33),
    (2, 17, 1),
    (49, 24, 40),
    (7, 290, 11),
]
MODES = ("packed", "direct", "copied", "transposed")
TARGETS = ("cpu", "cpu:avx2", "cpu:generic")
DTYPES = {
    "f32": "float32",
    "f64": "float64",
    "f16": "float16",
    "i8": "int8",
    "i32": "int32",
}
DTYPES["bf16"] = "bfloat16"


def dtype_of(name: str) -> np.dtype[Any]:
    return np.dtype(ml_dtypes.bfloat16 if name == "bf16" else DTYPES[name])


def random(rng: np.random.Generator, shape: tuple[int, ...], kind: str) -> Array:
    if kind.startswith("i"):
        return rng.integers(-100, 100, shape).astype(dtype_of(kind))
    return rng.standard_normal(shape).astype(dtype_of(kind))


class Case:
    """C = A · B + bias on random operands, through one kernel."""

    def __init__(
        self,
        native_kernel: Any,
        shape: tuple[int, int, int],
        *,
        mode: str = "packed",
        target: str = "cpu",
        element: str = "f32",
        operand: str = "",
        dynamic: bool = False,
        rolled: bool = False,
        all_dynamic: bool = False,
    ) -> None:
        self.all_dynamic = all_dynamic
        self.m, self.n, self.k = shape
        self.mode, self.rolled, self.dynamic = mode, rolled, dynamic
        operand = operand or element
        rng = np.random.default_rng(7)
        self.a = random(rng, (self.m, self.k), operand)
        self.b = random(rng, (self.k, self.n), operand)
        self.bias = random(rng, (self.n,), element)
        bits = np.dtype(dtype_of(element)).itemsize * 8
        self.plan = self.planned(Target.parse(target), shape, bits)
        self.packed = pack_b(self.b, self.plan.panel_columns)
        right = {"packed": self.packed, "transposed": np.ascontiguousarray(self.b.T)}
        self.right = right.get(mode, self.b)
        buffers = [(self.a.shape, operand), (self.right.shape, operand)]
        buffers += [(self.bias.shape, element), ((self.m, self.n), element)]
        self.kernel = native_kernel(
            self.emit,
            buffers,
            target=target,
            element=element,
            dims=3,
            scratch_bytes=self.plan.scratch_bytes,
        )

    def planned(
        self, target: Target, shape: tuple[int, int, int], bits: int
    ) -> MatmulPlan:
        m, n, k = shape
        repacked = self.mode in ("copied", "transposed")
        sizes = [("dim", 0) if self.dynamic else m, n, k]
        if self.all_dynamic:
            sizes = [("dim", 0), ("dim", 1), ("dim", 2)]
        return plan_matmul(target, *sizes, element_bits=bits, repacked=repacked)

    def emit(
        self,
        b: Any,
        a: Any,
        right: Any,
        bias: Any,
        c: Any,
        *,
        scratch: Any,
        **items: Any,
    ) -> None:
        operands: dict[str, Any] = {}
        if self.mode == "packed":
            operands["packed_b"] = right
        elif self.mode == "transposed":
            operands["read_b_transposed"] = lambda j, k, n: b.load(right, j, k, lanes=n)
        else:
            operands["read_b"] = lambda k, j, n: b.load(right, k, j, lanes=n)
        if self.plan.repacked:
            operands["scratch"] = scratch
        emit_matmul(
            b,
            self.plan,
            read_a=lambda i, k: b.load_scalar(a, i, k),
            start=lambda i, j, n: b.load(bias, j, lanes=n),
            finish=lambda i, j, n, value: b.store(value, c, i, j, lanes=n),
            rolled_finish=self.rolled,
            **operands,
            **items,
        )

    def run(self, guarded: Any, rows: int | None = None) -> Array:
        """C, of which `rows` rows are computed where m is dynamic."""
        rows = self.m if rows is None else rows
        c = guarded((rows, self.n), self.bias.dtype)
        items = evaluate(self.plan.items, dims := [rows, self.n, self.k])
        self.kernel(self.a, self.right, self.bias, c.array, items=items, dims=dims)
        return c.check()

    def want(self) -> Array:
        return self.a.astype("f8") @ self.b.astype("f8") + self.bias.astype("f8")


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("mode", MODES)
def test_every_edge_in_every_mode(
    native_kernel: Any, guarded: Any, shape: tuple[int, int, int], mode: str
) -> None:
    case = Case(native_kernel, shape, mode=mode)
    np.testing.assert_allclose(case.run(guarded), case.want(), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("target", TARGETS[1:])
@pytest.mark.parametrize("mode", MODES)
def test_narrower_vectors(
    native_kernel: Any, guarded: Any, target: str, mode: str
) -> None:
    case = Case(native_kernel, (37, 255, 29), mode=mode, target=target)
    np.testing.assert_allclose(case.run(guarded), case.want(), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("target", TARGETS[:2])
@pytest.mark.parametrize("rows", [1, 2, 3, 7, 8, 15, 64, 71, 100])
def test_rows_known_at_run_time(
    native_kernel: Any, guarded: Any, target: str, rows: int
) -> None:
    case = Case(native_kernel, (100, 45, 20), target=target, dynamic=True)
    got = case.run(guarded, rows)
    np.testing.assert_allclose(got, case.want()[:rows], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_all_sizes_known_at_run_time(
    native_kernel: Any, guarded: Any, shape: tuple[int, int, int]
) -> None:
    case = Case(native_kernel, shape, mode="direct", all_dynamic=True)
    np.testing.assert_allclose(case.run(guarded), case.want(), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("dynamic", [False, True])
def test_rolled_finish_changes_no_bit(
    native_kernel: Any, guarded: Any, dynamic: bool
) -> None:
    shape = (21, 50, 33)
    inline = Case(native_kernel, shape, dynamic=dynamic).run(guarded)
    rolled = Case(native_kernel, shape, dynamic=dynamic, rolled=True).run(guarded)
    np.testing.assert_array_equal(inline, rolled)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("operand", ["f16", "bf16"])
def test_narrow_operands_are_widened(
    native_kernel: Any, guarded: Any, operand: str, mode: str
) -> None:
    case = Case(native_kernel, (19, 40, 50), mode=mode, operand=operand)
    np.testing.assert_allclose(case.run(guarded), case.want(), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("mode", MODES)
def test_doubles(native_kernel: Any, guarded: Any, mode: str) -> None:
    case = Case(native_kernel, (19, 43, 50), mode=mode, element="f64")
    np.testing.assert_allclose(case.run(guarded), case.want(), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("mode", MODES)
def test_integers_are_exact(
    native_kernel: Any, guarded: Any, target: str, mode: str
) -> None:
    case = Case(
        native_kernel,
        (19, 43, 50),
        mode=mode,
        target=target,
        element="i32",
        operand="i8",
    )
    np.testing.assert_array_equal(case.run(guarded), case.want())


def test_epilogue_sees_each_element_once(native_kernel: Any, guarded: Any) -> None:
    m, n, k = 21, 75, 16
    rng = np.random.default_rng(3)
    a, right, residual = (random(rng, s, "f32") for s in [(m, k), (k, n), (m, n)])
    plan = plan_matmul(Target.parse("cpu"), m, n, k)

    def emit(
        b: Any, a: Any, right: Any, residual: Any, c: Any, *, scratch: Any, **items: Any
    ) -> None:
        def finish(i: Any, j: Any, lanes: Any, value: Any) -> None:
            value = arith.addf(value, b.load(residual, i, j, lanes=lanes))
            value = arith.maximumf(value, b.splat(0.0))
            value = arith.addf(value, b.load(c, i, j, lanes=lanes))
            b.store(value, c, i, j, lanes=lanes)

        emit_matmul(
            b,
            plan,
            read_a=lambda i, k: b.load_scalar(a, i, k),
            packed_b=right,
            finish=finish,
            **items,
        )

    packed = pack_b(right, plan.panel_columns)
    shapes = [a.shape, packed.shape, residual.shape, (m, n)]
    kernel = native_kernel(emit, [(shape, "f32") for shape in shapes])
    c = guarded((m, n))
    c.array[:] = 100
    kernel(a, packed, residual, c.array, items=plan.items)
    want = 100 + np.maximum(a.astype("f8") @ right + residual, 0)
    np.testing.assert_allclose(c.check(), want, rtol=1e-5)


@pytest.mark.parametrize(
    "shape", [(5, 7), (16, 32), (3, 4, 33), (2, 3, 1, 65)], ids=str
)
def test_packing_has_an_inverse(shape: tuple[int, ...]) -> None:
    array = np.random.default_rng(0).standard_normal(shape)
    packed = pack_b(array, 32)
    assert packed.shape == (*shape[:-2], -(-shape[-1] // 32), shape[-2], 32)
    np.testing.assert_array_equal(unpack_b(packed, shape[-1]), array)
    assert np.count_nonzero(packed) == array.size


def test_plan_prefers_a_tile_that_divides_the_rows() -> None:
    target = Target.parse("cpu:avx512")
    heights = {
        m: plan_matmul(target, m, 64, 64).tile.rows for m in (5, 49, 128, 37, 196)
    }
    assert heights == {5: 5, 49: 7, 128: 8, 37: 8, 196: 7}


def test_plan_of_dynamic_rows_counts_items_by_size() -> None:
    plan = plan_matmul(Target.parse("cpu:avx512"), ("dim", 0), 100, 64)
    assert [evaluate(plan.items, [m]) for m in (1, 64, 65)] == [4, 4, 8]

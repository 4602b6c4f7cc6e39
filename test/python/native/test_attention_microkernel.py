"""Attention kernels against float64 NumPy: edges, masks, groups, long sequences."""

from __future__ import annotations

import platform
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from ix.mlir import arith
from ix.passes.schedule.microkernel.attention import (
    AttentionPlan,
    emit_attention,
    plan_attention,
)
from ix.runtime.sizes import evaluate
from ix.target import Target

pytestmark = pytest.mark.skipif(platform.machine() != "x86_64", reason="runs x86 code")

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Shape:
    """Sizes of one attention; see `plan_attention`."""

    heads: int
    s: int
    t: int
    d: int
    e: int
    group: int = 1


SHAPES = [
    Shape(2, 8, 32, 16, 16),
    Shape(2, 13, 37, 20, 24),
    Shape(4, 9, 50, 40, 8, group=2),
    Shape(4, 1, 45, 64, 64, group=4),
    Shape(2, 1, 7, 24, 40),
    Shape(8, 1, 65, 8, 256, group=8),
    Shape(2, 40, 20, 32, 48),
    Shape(2, 3, 19, 33, 33),
    Shape(2, 5, 1, 256, 16),
    Shape(2, 260, 70, 40, 56),
    Shape(4, 130, 40, 16, 33, group=2),
]
LONG = [
    Shape(2, 140, 1100, 64, 64),
    Shape(4, 70, 1500, 64, 40, group=2),
    Shape(4, 1, 9000, 64, 64, group=4),
]
MASKS = ("none", "added", "bool")


def softmax_attention(
    q: Array, k: Array, v: Array, shape: Shape, causal: bool, mask: Array | None
) -> Array:
    """The definition in docs/contract.md, in float64."""
    q, k, v = (x.astype("f8") for x in (q, k, v))
    k, v = (np.repeat(x, shape.group, 0) for x in (k, v))
    scores = q @ k.transpose(0, 2, 1) / np.sqrt(shape.d)
    if causal:
        i, j = np.arange(shape.s)[:, None], np.arange(shape.t)
        scores = np.where(j <= i + shape.t - shape.s, scores, -np.inf)
    if mask is not None and mask.dtype == np.int8:
        scores = np.where(mask != 0, scores, -np.inf)
    elif mask is not None:
        scores = scores + mask
    top = scores.max(-1, keepdims=True)
    p = np.exp(scores - np.where(top == -np.inf, 0, top))
    total = p.sum(-1, keepdims=True)
    return p / np.where(total == 0, 1, total) @ v


class Case:
    """One attention on random operands, through one kernel."""

    def __init__(
        self,
        native_kernel: Any,
        shape: Shape,
        *,
        causal: bool = False,
        mask: str = "none",
        target: str = "cpu",
        element: str = "f32",
        operand: str = "",
        dynamic: bool = False,
        max_keys: int | None = None,
        mask_of_rows: bool = False,
    ) -> None:
        self.shape, self.causal, self.mask_of_rows = shape, causal, mask_of_rows
        operand = operand or element
        kind = {"f16": "f2", "f32": "f4", "f64": "f8"}
        rng = np.random.default_rng(11)
        kv_heads = shape.heads // shape.group
        sizes = [
            (shape.heads, shape.s, shape.d),
            (kv_heads, shape.t, shape.d),
            (kv_heads, shape.t, shape.e),
        ]
        self.inputs = [rng.standard_normal(s).astype(kind[operand]) for s in sizes]
        self.mask = self.random_mask(rng, mask, kind[element])
        self.dtype = kind[element]
        bits = np.dtype(self.dtype).itemsize * 8
        self.plan = self.planned(target, dynamic, max_keys, bits)
        masks = [] if self.mask is None else [self.mask]
        self.buffers = [*self.inputs, *masks]
        types = [(x.shape, operand) for x in self.inputs]
        types += [(x.shape, "i8" if mask == "bool" else element) for x in masks]
        types += [((shape.heads, shape.s, shape.e), element)]
        self.kernel = native_kernel(
            self.emit,
            types,
            target=target,
            element=element,
            dims=2,
            scratch_bytes=self.plan.scratch_bytes,
        )

    def planned(
        self, target: str, dynamic: bool, max_keys: int | None, bits: int
    ) -> AttentionPlan:
        shape = self.shape
        return plan_attention(
            Target.parse(target),
            heads=shape.heads,
            s=("dim", 0) if dynamic else shape.s,
            t=("dim", 1) if dynamic else shape.t,
            d=shape.d,
            e=shape.e,
            group=shape.group,
            causal=self.causal,
            max_keys=max_keys,
            element_bits=bits,
        )

    def random_mask(
        self, rng: np.random.Generator, mask: str, kind: str
    ) -> Array | None:
        """A fifth of the keys is hidden, and all of them from the first query."""
        keys = 1 if self.mask_of_rows else self.shape.t
        shape = (self.shape.heads, self.shape.s, keys)
        hidden = rng.random(shape) < 0.2
        hidden[0, 0] = True
        if mask == "bool":
            return (~hidden).astype(np.int8)
        if mask == "added":
            return np.where(hidden, -np.inf, rng.standard_normal(shape)).astype(kind)
        return None

    def emit(self, b: Any, *buffers: Any, scratch: Any, low: Any, high: Any) -> None:
        q, k, v, *mask, o = buffers

        def read_mask(h: Any, i: Any, j: Any, lanes: Any) -> Any:
            if self.mask_of_rows:
                value = b.load_scalar(mask[0], h, i, 0)
            else:
                value = b.load(mask[0], h, i, j, lanes=lanes)
            if self.mask is not None and self.mask.dtype != np.int8:
                return value
            zero = arith.xori(value, value)
            return arith.cmpi(arith.CmpIPredicate.ne, value, zero)

        emit_attention(
            b,
            self.plan,
            low=low,
            high=high,
            scratch=scratch,
            read_q=lambda h, i, c, n: b.load(q, h, i, c, lanes=n),
            read_k=lambda h, j, c, n: b.load(k, h, j, c, lanes=n),
            read_v=lambda h, j, c, n: b.load(v, h, j, c, lanes=n),
            store_o=lambda h, i, c, n, value: b.store(value, o, h, i, c, lanes=n),
            scale=self.shape.d**-0.5,
            mask=read_mask if mask else None,
        )

    def run(self, guarded: Any) -> Array:
        shape = self.shape
        o = guarded((shape.heads, shape.s, shape.e), self.dtype)
        items = evaluate(self.plan.items, [shape.s, shape.t])
        self.kernel(*self.buffers, o.array, items=items, dims=(shape.s, shape.t))
        return o.check()

    def want(self) -> Array:
        return softmax_attention(*self.inputs, self.shape, self.causal, self.mask)

    def check(self, guarded: Any, atol: float = 2e-5) -> None:
        np.testing.assert_allclose(self.run(guarded), self.want(), rtol=0, atol=atol)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("causal", [False, True], ids=["full", "causal"])
@pytest.mark.parametrize("mask", MASKS)
def test_every_edge(
    native_kernel: Any, guarded: Any, shape: Shape, causal: bool, mask: str
) -> None:
    Case(native_kernel, shape, causal=causal, mask=mask).check(guarded)


@pytest.mark.parametrize("shape", LONG, ids=str)
@pytest.mark.parametrize("causal", [False, True], ids=["full", "causal"])
def test_more_keys_than_fit(
    native_kernel: Any, guarded: Any, shape: Shape, causal: bool
) -> None:
    Case(native_kernel, shape, causal=causal, mask="added").check(guarded)


@pytest.mark.parametrize("shape", [SHAPES[1], SHAPES[6], LONG[0]], ids=str)
@pytest.mark.parametrize("max_keys", [None, 1100])
@pytest.mark.parametrize("causal", [False, True], ids=["full", "causal"])
def test_sizes_known_at_run_time(
    native_kernel: Any, guarded: Any, shape: Shape, max_keys: int | None, causal: bool
) -> None:
    case = Case(native_kernel, shape, causal=causal, dynamic=True, max_keys=max_keys)
    case.check(guarded)


@pytest.mark.parametrize("target", ["cpu:avx2", "cpu:generic"])
@pytest.mark.parametrize("shape", [SHAPES[1], SHAPES[3], LONG[1]], ids=str)
def test_narrower_vectors(
    native_kernel: Any, guarded: Any, target: str, shape: Shape
) -> None:
    shape = replace(shape, s=min(shape.s, 16))
    Case(native_kernel, shape, causal=True, mask="bool", target=target).check(guarded)


def test_narrow_operands_are_widened(native_kernel: Any, guarded: Any) -> None:
    Case(native_kernel, SHAPES[1], operand="f16").check(guarded)


@pytest.mark.parametrize("shape", [SHAPES[1], SHAPES[3]], ids=str)
def test_doubles(native_kernel: Any, guarded: Any, shape: Shape) -> None:
    Case(native_kernel, shape, element="f64", mask="added").check(guarded, atol=1e-12)


def test_a_row_that_sees_nothing_is_zero(native_kernel: Any, guarded: Any) -> None:
    case = Case(native_kernel, Shape(1, 40, 20, 32, 16), causal=True)
    got = case.run(guarded)
    assert not got[0, :20].any()
    assert got[0, 20:].any(axis=-1).all()


@pytest.mark.parametrize("mask", ["added", "bool"])
def test_a_mask_may_be_one_value_of_a_row(
    native_kernel: Any, guarded: Any, mask: str
) -> None:
    case = Case(native_kernel, SHAPES[1], mask=mask, mask_of_rows=True)
    case.check(guarded)


def test_nan_and_infinite_scores_reach_their_row_alone(
    native_kernel: Any, guarded: Any
) -> None:
    case = Case(native_kernel, SHAPES[1])
    case.inputs[0][0, 3] = np.nan
    case.inputs[0][1, 5] = np.inf
    got = case.run(guarded)
    lost = np.isnan(got).any(axis=-1)
    assert lost[0, 3] and lost[1, 5] and lost.sum() == 2


@pytest.mark.parametrize("d", [8, 64, 128, 256])
@pytest.mark.parametrize("t", [1, 512, 8192, 100_000])
@pytest.mark.parametrize("s", [1, 512])
def test_scratch_fits_into_the_second_level_cache(s: int, t: int, d: int) -> None:
    target = Target.parse("cpu:avx512")
    plan = plan_attention(target, heads=8, s=s, t=t, d=d, e=d)
    assert plan.scratch_bytes <= 256 << 10


def test_items_of_dynamic_rows() -> None:
    target = Target.parse("cpu:avx512")
    plan = plan_attention(target, heads=12, s=("dim", 0), t=128, d=64, e=64)
    assert [evaluate(plan.items, [s]) for s in (1, 32, 33)] == [12, 12, 24]

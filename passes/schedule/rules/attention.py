"""Attention without the score matrix in memory.

    O[b, h, i] = softmax(scale · Q[b, h, i] · K[b, g]ᵀ + mask) · V[b, g],  g = h / group

Views of Q, K and V (slices of a merged projection, head transposes) and what is done to
O are the fused ops themselves, asked for their value at the coordinates.
"""

from __future__ import annotations

from typing import Any

from ix.mlir import arith, ir
from ix.passes.schedule.elemental import Lanes
from ix.passes.schedule.index import Index
from ix.passes.schedule.kernel import Frame, Kernel, KernelCode, build
from ix.passes.schedule.microkernel.attention import emit_attention, plan_attention
from ix.passes.schedule.microkernel.builder import Builder
from ix.passes.schedule.rules.contraction import GFLOPS, finish_outputs
from ix.runtime.sizes import combine
from ix.target import Target

__all__ = ["apply", "broadcast_indices"]


def apply(kernel: Kernel, target: Target) -> KernelCode | None:
    """Takes ix.attention of floats with known head sizes."""
    if kernel.family != "attention":
        return None
    anchors = [op for op in kernel.ops if op.operation.name == "ix.attention"]
    (anchor,) = anchors
    element = anchor.operation.results[0].type.element_type
    if str(element) not in ("f32", "f16", "bf16"):
        return None
    return _Rule(kernel, target, anchor).code()


class _Rule:
    def __init__(self, kernel: Kernel, target: Target, anchor: Any) -> None:
        self.kernel = kernel
        self.target = target
        self.result = anchor.operation.results[0]
        self.q, self.k, self.v, *masks = anchor.operation.operands
        self.mask = masks[0] if masks else None
        batch, self.heads, s, d = _sizes(kernel, self.q)
        _, self.groups, t, _ = _sizes(kernel, self.k)
        e = _sizes(kernel, self.v)[3]
        attributes = anchor.operation.attributes
        self.scale = ir.FloatAttr(attributes["scale"]).value
        self.total = combine("mul", batch, self.heads)
        self.plan = plan_attention(
            target,
            heads=self.total,
            group=self.heads // self.groups,
            s=s,
            t=t,
            d=d,
            e=e,
            causal=bool(ir.BoolAttr(attributes["causal"]).value),
            max_keys=kernel.most(t),
        )

    def code(self) -> KernelCode:
        plan, most = self.plan, self.kernel.most
        flops = 2 * most(self.total) * most(plan.s) * most(plan.t) * (plan.d + plan.e)
        items = plan.items
        return build(
            self.kernel,
            self.target,
            self._emit,
            family="attention",
            items=items,
            item_ns=flops / GFLOPS / max(most(items), 1),
            lanes=self.target.lanes(32),
            scratch_bytes=plan.scratch_bytes,
            level=0,
            flops=flops,
            setup_ns=plan.setup_ns,
        )

    def _emit(self, frame: Frame) -> None:
        elemental = frame.elemental
        f32 = ir.F32Type.get()
        b = Builder(self.target, f32, scope=elemental.scope, size=elemental.base)

        def lanes_of(live: Any) -> Lanes:
            return Lanes(b.lanes, b.lanes if b.is_whole(live) else live)

        def along(value: Any) -> Index:
            return Index(value, 1, 1 if isinstance(value, int) else b.lanes)

        def reader(value: Any, heads: Any) -> Any:
            def read(h: Any, i: Any, c: Any, live: Any) -> Any:
                with elemental.scope():
                    sizes = [1, elemental.base(heads)]
                    head = frame.math.delinearize(Index(h), sizes)
                    at = [*head, Index(i), along(c)]
                    shape = self.kernel.shape(value)
                    at = broadcast_indices(at, shape)
                    return elemental.value_at(value, at, lanes_of(live))

            return read

        def store(h: Any, i: Any, c: Any, live: Any, value: Any) -> None:
            with elemental.scope():
                sizes = [1, elemental.base(self.heads)]
                head = frame.math.delinearize(Index(h), sizes)
                narrow = _narrowed(value, self.result.type.element_type)
                at = [*head, Index(i), along(c)]
                finish_outputs(frame, self.result, at, lanes_of(live), narrow)

        emit_attention(
            b,
            self.plan,
            low=frame.low,
            high=frame.high,
            scratch=frame.scratch,
            read_q=reader(self.q, self.heads),
            read_k=reader(self.k, self.groups),
            read_v=reader(self.v, self.groups),
            store_o=store,
            scale=self.scale,
            mask=None if self.mask is None else reader(self.mask, self.heads),
        )


def broadcast_indices(at: list[Index], shape: tuple[Any, ...]) -> list[Index]:
    """Indices of an operand that may lack leading axes or have axes of size 1."""
    aligned = at[len(at) - len(shape) :]
    return [
        Index(0) if size == 1 else index
        for index, size in zip(aligned, shape, strict=True)
    ]


def _narrowed(value: Any, element: Any) -> Any:
    """A vector of f32 as one of the result's element type."""
    if value.type.element_type == element:
        return value
    return arith.truncf(ir.VectorType.get(value.type.shape, element), value)


def _sizes(kernel: Kernel, value: Any) -> tuple[Any, ...]:
    """The shape; the rule takes kernels only whose heads and widths are static."""
    return kernel.shape(value)

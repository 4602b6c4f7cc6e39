"""How programs spell norms: x / √(v + ε), times a scale, plus a bias.

Short floats: the ops compute in f32 and round once. A norm spelled in f16 or bf16
squares in that format, where large values overflow, so it is recognised only where the
program casts to f32 first; the casts around the norm then vanish. A scale or bias that
follows in the short format joins the norm, whose result then rounds once, not twice.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ix.dialects import ix
from ix.mlir import DYNAMIC, defining_op, ir
from ix.passes.graph.matching import (
    bare,
    commuted,
    is_trailing,
    is_used_once,
    peeled,
    scalar,
)


@dataclass(frozen=True)
class Quotient:
    """value / √(radicand + epsilon) · scale.

    Attributes:
        value: What is divided.
        root: The root as it is aligned with the value.
        radicand: Whatever its shape, without ε.
        epsilon: ε, 0 where nothing is added.
        scale: A factor beside the root, or None.
    """

    value: ir.Value
    root: ir.Value
    radicand: ir.Value
    epsilon: float
    scale: ir.Value | None = None


def quotients(op: ix.DivOp | ix.MulOp) -> Iterator[Quotient]:
    """The ways in which a division or product is a quotient by a root."""
    if isinstance(op, ix.DivOp):
        yield from _over(op.a, op.b, _radicand(op.b))
        return
    for value, inverse in commuted(op):
        yield from _over(value, inverse, _inverse_radicand(inverse))
        product = defining_op(inverse, ix.MulOp)
        for root, scale in [] if product is None else commuted(product):
            radicand = _inverse_radicand(root)
            if radicand is not None:
                yield Quotient(value, root, *_without_epsilon(radicand), scale)


def _over(
    value: ir.Value, root: ir.Value, radicand: ir.Value | None
) -> Iterator[Quotient]:
    if radicand is None:
        return
    yield Quotient(value, root, *_without_epsilon(radicand))
    product = defining_op(value, ix.MulOp)
    if product is not None and is_used_once(value):
        for inner, scale in commuted(product):
            yield Quotient(inner, root, *_without_epsilon(radicand), scale)


def _radicand(value: ir.Value) -> ir.Value | None:
    """v where the value is √v."""
    op = defining_op(_unstretched(value))
    if isinstance(op, ix.SqrtOp):
        return op.input
    if isinstance(op, ix.PowOp) and scalar(op.b) == 0.5:
        return op.a
    return None


def _inverse_radicand(value: ir.Value) -> ir.Value | None:
    """v where the value is 1 / √v."""
    op = defining_op(_unstretched(value))
    if isinstance(op, ix.RsqrtOp):
        return op.input
    if isinstance(op, ix.ReciprocalOp):
        return _radicand(op.input)
    if isinstance(op, ix.DivOp) and scalar(op.a) == 1:
        return _radicand(op.b)
    if isinstance(op, ix.PowOp) and scalar(op.b) == -0.5:
        return op.a
    return None


def _unstretched(value: ir.Value) -> ir.Value:
    op = defining_op(value, ix.BroadcastOp)
    return peeled(value if op is None else op.input)


def _without_epsilon(value: ir.Value) -> tuple[ir.Value, float]:
    op = defining_op(peeled(value), ix.AddOp)
    for inner, number in [] if op is None else commuted(op):
        epsilon = scalar(number)
        if epsilon is not None:
            return inner, epsilon
    return value, 0.0


def last_axes(axes: list[int], rank: int) -> bool:
    """Whether the axes are the last ones, at least one."""
    return bool(axes) and axes == list(range(rank - len(axes), rank))


def vector(value: ir.Value, shape: list[int], axis: int) -> ir.Value | None:
    """A scale or bias of the shape `shape[axis:]`, which must be static; or None."""
    if not is_trailing(value, shape, axis) or DYNAMIC in shape[axis:]:
        return None
    if value.type.rank == len(shape) - axis:
        return value
    return ix.ReshapeOp.build(value, shape[axis:])


def rebuilt(norm: Any, input: ir.Value, **given: ir.Value | None) -> ir.Value:
    """The same norm of another input, with a scale or bias instead of its own."""
    own = {"scale": norm.scale}
    if isinstance(norm, ix.LayerNormOp):
        own["bias"] = norm.bias
    return type(norm).build(
        input, **{**own, **given}, axis=norm.axis, epsilon=norm.epsilon
    )


def absorbed(op: Any, kind: type, name: str) -> ir.Value | None:
    """A norm with the other operand of a product or sum as its scale or bias."""
    for value, other in commuted(op):
        norm = defining_op(value, kind)
        if norm is None or getattr(norm, name) is not None or not is_used_once(value):
            continue
        if name == "scale" and norm.has_bias:
            continue
        row = vector(other, list(value.type.shape), norm.axis)
        if row is not None:
            return rebuilt(norm, norm.input, **{name: row})
    return None


def without_casts(op: ix.CastOp, kind: type) -> ir.Value | None:
    """A norm of short floats where it is spelled in f32 between casts."""
    norm = defining_op(op.input, kind)
    if norm is None or not is_used_once(op.input):
        return None
    values = {"input": norm.input, "scale": norm.scale}
    if isinstance(norm, ix.LayerNormOp):
        values["bias"] = norm.bias
    element = op.result.type.element_type
    sources = {
        name: None if value is None else bare(value) for name, value in values.items()
    }
    for source in sources.values():
        if source is not None and source.type.element_type != element:
            return None
    return rebuilt(norm, **sources)

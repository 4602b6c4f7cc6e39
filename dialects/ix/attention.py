"""Scaled dot-product attention as one op, for the rule that never stores the scores."""

import math

from ix.dialects.ix.dialect import Flag, Float, IxOp, Operand, Operands, Result
from ix.dialects.ix.shapes import (
    dim_sizes_agree,
    is_bool,
    is_float,
    merge_dims,
    require,
    require_element,
    require_same_elements,
    shape_text,
    tensor_type,
)
from ix.errors import InputError
from ix.mlir import DYNAMIC, ir


class AttentionOp(IxOp, name="attention"):
    """softmax(q · kᵀ · scale + mask) · v, for each head.

    Consecutive h/g query heads share one head of keys and values. A row in which every
    key is masked, or scores −∞, gives zeros. Short floats compute in f32.

    q:       tensor<B x H x S x D x T>
    k:       tensor<B x G x L x D x T>, H a multiple of G
    v:       tensor<B x G x L x E x T>
    mask:    optional, broadcasts to B x H x S x L: i1 (true keeps) or T (is added)
    scale:   a number, most often 1/√D
    causal:  query i sees key j ≤ i + (L − S)
    result:  tensor<B x H x S x E x T>
    """

    q: Operand
    k: Operand
    v: Operand
    rest: Operands
    scale: Float
    causal: Flag
    has_mask: Flag
    result: Result

    @property
    def mask(self) -> ir.Value | None:
        """What hides keys from queries, or None."""
        return self.operands[3] if self.has_mask else None

    @classmethod
    def build(
        cls,
        q: ir.Value,
        k: ir.Value,
        v: ir.Value,
        mask: ir.Value | None = None,
        *,
        scale: float | None = None,
        causal: bool = False,
    ) -> ir.Value:
        """Attends; `scale` None is 1/√D, which then must be static.

        Raises:
            InputError: The rule of the op does not hold.
        """
        if scale is None:
            width = q.type.shape[-1] if q.type.rank else DYNAMIC
            if width <= 0:
                raise InputError(
                    f"ix.attention: needs a scale, but the last axis of {q.type} gives "
                    "none; pass scale"
                )
            scale = 1 / math.sqrt(width)
        return cls.create(
            [q, k, v] if mask is None else [q, k, v, mask],
            scale=float(scale),
            causal=causal,
            has_mask=mask is not None,
        ).result

    @classmethod
    def infer(
        cls,
        *operands: ir.RankedTensorType,
        scale: float,
        causal: bool,
        has_mask: bool,
    ) -> list[ir.Type]:
        """[b, h, s, e]."""
        require(
            len(operands) == 3 + has_mask,
            lambda: (
                f"needs {3 + has_mask} operands, as has_mask says, got {len(operands)}"
            ),
        )
        q, k, v = operands[:3]
        element = require_same_elements([q, k, v])
        require_element(q, "floats", is_float(element))
        require(
            q.rank == k.rank == v.rank == 4,
            lambda: f"q, k and v must have four axes, got {q}, {k} and {v}",
        )
        batch = _merged(q, k, v, axes=(0, 0, 0), what="batch")
        keys = _merged(k, v, axes=(2, 2), what="key")
        groups = _merged(k, v, axes=(1, 1), what="key head")
        _merged(q, k, axes=(3, 3), what="depth")
        heads, queries = q.shape[1:3]
        require(
            DYNAMIC in (heads, groups) or (groups > 0 and heads % groups == 0),
            lambda: (
                f"query heads must be a multiple of key heads, got {heads} and {groups}"
            ),
        )
        if has_mask:
            _require_mask(operands[3], element, [batch, heads, queries, keys])
        return [tensor_type([batch, heads, queries, v.shape[3]], element)]


def _merged(*types: ir.RankedTensorType, axes: tuple[int, ...], what: str) -> int:
    """The one size that axes of several operands have; raises where they differ."""
    size = DYNAMIC
    for type_, axis in zip(types, axes, strict=True):
        require(
            dim_sizes_agree(size, type_.shape[axis]),
            lambda: f"{what} sizes must be equal, got {', '.join(map(str, types))}",
        )
        size = merge_dims(size, type_.shape[axis])
    return size


def _require_mask(
    mask: ir.RankedTensorType, element: ir.Type, scores: list[int]
) -> None:
    """Raises unless the mask has a right element type and broadcasts to the scores."""
    require(
        is_bool(mask.element_type) or mask.element_type == element,
        lambda: (
            "mask must have elements of i1 or of the operands' type, "
            f"got {mask}; cast it"
        ),
    )
    shape = [1] * (4 - mask.rank) + list(mask.shape)
    fits = len(shape) == 4 and all(
        size == 1 or dim_sizes_agree(size, wanted)
        for size, wanted in zip(shape, scores, strict=True)
    )
    require(fits, lambda: f"mask must broadcast to {shape_text(scores)}, got {mask}")

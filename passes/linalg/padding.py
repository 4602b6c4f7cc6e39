"""tensor.pad with a constant."""

from __future__ import annotations

from collections.abc import Sequence

from ix.mlir import DYNAMIC, ir, tensor


def padded(
    value: ir.Value, low: Sequence[int], high: Sequence[int], fill: ir.Value
) -> ir.Value:
    """Surrounds a tensor with a scalar.

    Args:
        value: The tensor.
        low, high: Elements before and after it, ≥ 0, one number for each axis.
        fill: The scalar.

    Returns:
        The padded tensor; `value` itself where nothing is added.
    """
    if not any(low) and not any(high):
        return value
    shape = [
        DYNAMIC if size == DYNAMIC else size + before + after
        for size, before, after in zip(value.type.shape, low, high, strict=True)
    ]
    type_ = ir.RankedTensorType.get(shape, value.type.element_type)
    op = tensor.PadOp(type_, value, [], [], list(low), list(high))
    index = ir.IndexType.get()
    block = op.regions[0].blocks.append(
        *[index] * len(shape), arg_locs=[op.location] * len(shape)
    )
    with ir.InsertionPoint(block):
        tensor.YieldOp(fill)
    return op.result

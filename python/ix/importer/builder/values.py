"""Operands: what a builder function accepts, and how it becomes a typed Value.

An operand is an MLIR Value, a NumPy array or array-like (becomes a constant or a
parameter), a Python scalar (weakly typed, NEP 50) or a `DimExpr` (a weak int).
"""

from __future__ import annotations

import operator
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from ix.errors import InputError
from ix.importer import dims, promotion
from ix.importer.dims import DimExpr
from ix.importer.program import current_module, dtype_of
from ix.importer.promotion import Weak, canonical_dtype, element_type
from ix.mlir import DYNAMIC, ir

__all__ = [
    "all_same",
    "as_value",
    "broadcast_shapes",
    "cast",
    "dtype",
    "emit",
    "index_list",
    "is_constant",
    "mark_weak",
    "normalize_axes",
    "normalize_axis",
    "note_shape",
    "promoted",
    "rank",
    "shape",
    "size",
    "size_value",
    "strong",
    "tensor_type",
    "weak_type",
]


def emit(mnemonic: str, *operands: Any, like: Any = None, **attributes: Any) -> Any:
    """Builds the op `ix.<mnemonic>`; returns its Value or a tuple of them.

    Args:
        like: Sizes of the (first) result, recorded where it has dynamic axes.
    """
    module = current_module()
    result = module.create(mnemonic, *operands, **attributes)
    if isinstance(result, ir.Value) and 0 in result.type.shape:
        return _empty(result)
    if like is not None and not result.type.has_static_shape:
        module.set_shape(result, like)
    return result


def note_shape(value: Any, sizes: Sequence[Any]) -> Any:
    """Records the sizes of a tensor's dynamic axes; returns the tensor."""
    if not value.type.has_static_shape:
        current_module().set_shape(value, sizes)
    return value


def _empty(result: Any) -> Any:
    """A constant in place of an op that gives no elements, if its sizes are static."""
    if not result.type.has_static_shape:
        return result
    sizes, kind = result.type.shape, dtype_of(result)
    result.owner.erase()
    return current_module().constant(np.empty(sizes, kind))


def weak_type(operand: Any) -> Weak | None:
    """bool, int or float where an operand is weakly typed, else None."""
    if isinstance(operand, ir.Value):
        return current_module().weak.get(operand)
    if isinstance(operand, DimExpr):
        return int
    if type(operand) in (bool, int, float):  # np.float64 is a float, and strong
        return type(operand)
    return None


def strong(operand: Any) -> Any:
    """The operand, a Python number as an array of its 64-bit dtype."""
    return np.asarray(operand) if type(operand) in (bool, int, float) else operand


def mark_weak(value: Any, kind: Weak) -> Any:
    """Makes a rank-0 Value behave as a Python scalar in promotion; returns it."""
    current_module().weak[value] = kind
    return value


def as_value(operand: Any, dtype: Any = None) -> Any:
    """The Value of any operand, cast to `dtype` unless that is None.

    Raises:
        InputError: A Python scalar does not fit in `dtype`, or ix lacks the dtype.
    """
    if isinstance(operand, ir.Value):
        return operand if dtype is None else cast(operand, dtype)
    if isinstance(operand, DimExpr):
        return as_value(size_value(operand), dtype)
    kind = weak_type(operand)
    if kind is not None:
        target = promotion.promote((), (kind,)) if dtype is None else np.dtype(dtype)
        return current_module().constant(_scalar(operand, target))
    array = operand if hasattr(operand, "dtype") else np.asarray(operand)
    if array.dtype == object:
        raise InputError(
            f"an operand needs to be an array or a number, but it is {operand!r:.80}"
        )
    value = current_module().constant(array)
    return value if dtype is None else cast(value, dtype)


def _scalar(number: Any, target: np.dtype[Any]) -> np.ndarray[Any, Any]:
    """A Python number as a rank-0 array; an int outside of the dtype is an error."""
    try:
        if target == promotion.INT4 and not -8 <= number < 8:
            raise OverflowError(f"Python integer {number} out of bounds for int4")
        return np.asarray(number, target)
    except (OverflowError, TypeError) as error:
        raise InputError(
            f"the Python number {number} needs to fit in {target}, but it does not "
            f"({error}); convert the array to a wider dtype"
        ) from None


def is_constant(operand: Any) -> bool:
    """Whether the operand's elements are known while the program is built."""
    return not isinstance(operand, ir.Value | DimExpr)


def dtype(operand: Any) -> np.dtype[Any]:
    """The NumPy dtype of an operand; Python numbers give their 64-bit types."""
    if isinstance(operand, ir.Value):
        return dtype_of(operand)
    kind = weak_type(operand)
    if kind is not None:
        return promotion.promote((), (kind,))
    found = np.asarray(operand).dtype
    if found.kind == "O":
        raise InputError(
            f"an operand needs to be an array or a number, but it is {operand!r:.80}"
        )
    return canonical_dtype(found)


def shape(operand: Any) -> tuple[Any, ...]:
    """The sizes of an operand: an int, or a `DimExpr` where dynamic."""
    if isinstance(operand, ir.Value):
        return current_module().shape(operand)
    return () if weak_type(operand) else tuple(np.shape(operand))


def size(operand: Any, axis: int | None = None) -> Any:
    """The size of one axis (negative: from the end), or of the whole tensor."""
    sizes = shape(operand)
    return dims.product(sizes) if axis is None else sizes[axis]


def rank(operand: Any) -> int:
    """The number of axes."""
    return operand.type.rank if isinstance(operand, ir.Value) else np.ndim(operand)


def size_value(amount: Any, dtype: Any = np.int64) -> Any:
    """A size as a rank-0 tensor; a dynamic one is int64 and weakly typed by default."""
    module = current_module()
    if not isinstance(amount, DimExpr):
        return module.constant(np.asarray(amount, dtype))
    if amount not in module.size_tensors:
        total = None
        for monomial, factor in amount.terms.items():
            term = module.constant(np.int64(factor))
            for symbol in monomial:
                term = emit("mul", term, _symbol_value(DimExpr.symbol(symbol)))
            total = term if total is None else emit("add", total, term)
        module.size_tensors[amount] = mark_weak(total, int)
    value = module.size_tensors[amount]
    return value if np.dtype(dtype) == promotion.INT64 else cast(value, dtype)


def _symbol_value(amount: DimExpr) -> Any:
    """One symbol as a tensor: no ix op turns an index into one, so ones are summed."""
    module = current_module()
    if amount not in module.symbol_tensors:
        one = module.constant(np.int64(1))
        ones = emit("broadcast", one, like=(amount,), shape=index_list([amount]))
        module.symbol_tensors[amount] = emit("reduce_sum", ones, axes=[0])
    return module.symbol_tensors[amount]


def index_list(sizes: Iterable[Any]) -> list[Any]:
    """Sizes as an op's `build` takes them: ints, and index Values where dynamic."""
    module = current_module()
    return [
        module.index(each) if isinstance(each, DimExpr) else int(each) for each in sizes
    ]


def promoted(
    name: str, *operands: Any, to: Any = None
) -> tuple[list[Any], Weak | None]:
    """Operands as Values of one dtype: NumPy's promoted one, or `to`.

    Returns:
        The Values, and the weak type of the result if all operands are weak.

    Raises:
        InputError: The dtypes have no common type; names the op.
    """
    kinds = [weak_type(each) for each in operands]
    weak = [kind for kind in kinds if kind is not None]
    strong = [
        dtype(each) for each, kind in zip(operands, kinds, strict=True) if kind is None
    ]
    try:
        target = promotion.promote(strong, weak) if to is None else np.dtype(to)
        values = [as_value(each, target) for each in operands]
    except InputError as error:
        raise InputError(f"'{name}': {error}") from None
    if strong:
        return values, None
    return values, max(weak, key=[bool, int, float].index)


def cast(operand: Any, dtype: Any) -> Any:
    """Converts to another dtype; nothing where it has it already.

    A weak scalar becomes strong.
    """
    target = canonical_dtype(dtype, "'cast'")
    if not isinstance(operand, ir.Value):
        return current_module().constant(np.asarray(operand).astype(target))
    if dtype_of(operand) == target and weak_type(operand) is None:
        return operand
    if dtype_of(operand) == target:  # a strong copy: `ix.cast` would give it back
        return emit("reshape", operand, shape=[])
    return emit("cast", operand, element_type(target), like=shape(operand))


def normalize_axis(name: str, axis: Any, rank: int) -> int:
    """An axis as 0 ≤ axis < rank.

    Raises:
        InputError: It lies outside; names the op.
    """
    number = operator.index(axis)
    if not -rank <= number < rank:
        raise InputError(
            f"'{name}' needs an axis in [{-rank}, {rank}), but got {number} for a "
            f"tensor of rank {rank}"
        )
    return number % rank


def normalize_axes(name: str, axes: Any, rank: int) -> list[int]:
    """Axes (None: all; an int: one) as ascending, distinct, normalised ints.

    Raises:
        InputError: One lies outside or repeats; names the op.
    """
    if axes is None:
        return list(range(rank))
    listed: Sequence[Any] = axes if isinstance(axes, Sequence) else [axes]
    result = sorted(normalize_axis(name, axis, rank) for axis in listed)
    if len(set(result)) != len(result):
        raise InputError(f"'{name}' needs distinct axes, but got {tuple(listed)}")
    return result


def broadcast_shapes(name: str, *shapes: Sequence[Any]) -> tuple[Any, ...]:
    """The sizes that NumPy's broadcasting gives; a dynamic size meets only its equal.

    Raises:
        InputError: Two sizes differ and none is 1; names the op.
    """
    rank = max(map(len, shapes), default=0)
    result: list[Any] = [1] * rank
    for sizes in shapes:
        for axis, size in enumerate(sizes, rank - len(sizes)):
            known = result[axis]
            if isinstance(known, int) and known == 1:
                result[axis] = size
            elif isinstance(size, int) and size != 1:
                if isinstance(known, int) and known != size:
                    texts = " and ".join(str(tuple(each)) for each in shapes)
                    raise InputError(
                        f"'{name}' needs operands that broadcast, but their shapes "
                        f"are {texts}; aligned from the last axis, sizes must be "
                        "equal or 1"
                    )
                result[axis] = size
    return tuple(result)


def all_same(a: Sequence[Any], b: Sequence[Any]) -> bool:
    """Whether two shapes are provably equal."""
    return len(a) == len(b) and all(map(dims.same, a, b))


def tensor_type(shape: Iterable[Any], dtype: Any) -> Any:
    """The tensor type of sizes and a dtype, `?` for each dynamic size."""
    sizes = [DYNAMIC if isinstance(each, DimExpr) else each for each in shape]
    return ir.RankedTensorType.get(sizes, element_type(dtype))

"""Matrix products by NumPy's rank rules, and `linear`."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

from ix.errors import InputError
from ix.importer import promotion
from ix.importer.builder import elementwise as e
from ix.importer.builder.movement import (
    expand_dims,
    moveaxis,
    ravel,
    reshape,
    transpose,
)
from ix.importer.builder.values import (
    as_value,
    broadcast_shapes,
    cast,
    dtype,
    emit,
    normalize_axis,
    promoted,
    rank,
    shape,
)
from ix.importer.promotion import BOOL, element_type

__all__ = [
    "dot",
    "dot_general",
    "gemm",
    "inner",
    "kron",
    "linear",
    "matmul",
    "outer",
    "tensordot",
    "vdot",
    "vecdot",
]


def matmul(a: Any, b: Any, out_dtype: Any = None) -> Any:
    """The matrix product of the last two axes; leading axes broadcast.

    A vector is a row on the left, a column on the right, and its axis goes away.

    Args:
        out_dtype: float32 keeps the sum of short floats, int32 that of int8; None
            gives NumPy's result dtype.

    Raises:
        InputError: An operand is a scalar, or the contracted sizes differ.
    """
    if not rank(a) or not rank(b):
        raise InputError("'matmul' needs operands with axes, but one has none; use *")
    values, result = _contractable("matmul", a, b, out_dtype)
    left, right = values
    drop = ([-2] if rank(left) == 1 else []) + ([-1] if rank(right) == 1 else [])
    left = expand_dims(left, 0) if rank(left) == 1 else left
    right = expand_dims(right, 1) if rank(right) == 1 else right
    (m, k), (other, n) = shape(left)[-2:], shape(right)[-2:]
    if isinstance(k, int) and isinstance(other, int) and k != other:
        raise InputError(
            f"'matmul' needs the last size of a to equal the second last of b, but "
            f"got {shape(a)} and {shape(b)}"
        )
    batch = broadcast_shapes("matmul", shape(left)[:-2], shape(right)[:-2])
    product = emit(
        "matmul",
        left,
        right,
        element_type=_accumulator(values, result),
        like=[*batch, m, n],
    )
    product = cast(product, result)
    kept = [*batch, *([] if -2 in drop else [m]), *([] if -1 in drop else [n])]
    return reshape(product, kept) if drop else product


def _contractable(name: str, a: Any, b: Any, out_dtype: Any) -> tuple[list[Any], Any]:
    """Operands of a dtype that contractions take, and the dtype of the result."""
    if out_dtype is not None and all(
        dtype(each) in (promotion.INT4, promotion.INT8, promotion.canonical_dtype("u1"))
        for each in (a, b)
    ):
        return [as_value(a), as_value(b)], promotion.canonical_dtype(out_dtype)
    values, _ = promoted(name, a, b)
    result = dtype(values[0])
    if result == BOOL:
        values = [cast(each, promotion.INT8) for each in values]
    return values, result if out_dtype is None else promotion.canonical_dtype(out_dtype)


def _accumulator(values: Sequence[Any], result: Any) -> Any:
    """The element type that a contraction is asked for; None leaves the op's own."""
    own = dtype(values[0])
    if promotion.is_float(own) and result != own and result == promotion.FLOAT32:
        return element_type(result)
    return None


def dot_general(
    a: Any,
    b: Any,
    batch_a: Sequence[int] = (),
    batch_b: Sequence[int] = (),
    contract_a: Sequence[int] = (),
    contract_b: Sequence[int] = (),
    out_dtype: Any = None,
) -> Any:
    """Σ over contracted pairs of axes: result[batch, free of a, free of b]."""
    values, result = _contractable("dot_general", a, b, out_dtype)
    left, right = shape(values[0]), shape(values[1])
    free_a = [at for at in range(len(left)) if at not in (*batch_a, *contract_a)]
    free_b = [at for at in range(len(right)) if at not in (*batch_b, *contract_b)]
    sizes = [left[at] for at in (*batch_a, *free_a)] + [right[at] for at in free_b]
    product = emit(
        "dot_general",
        *values,
        batch_a=list(batch_a),
        batch_b=list(batch_b),
        contract_a=list(contract_a),
        contract_b=list(contract_b),
        element_type=_accumulator(values, result),
        like=sizes,
    )
    return cast(product, result)


def dot(a: Any, b: Any) -> Any:
    """`numpy.dot`: a product with a scalar; else the last axis of a with the second
    last (or only) one of b."""
    if not rank(a) or not rank(b):
        return e.mul(a, b)
    return tensordot(a, b, ([rank(a) - 1], [max(rank(b) - 2, 0)]))


def vdot(a: Any, b: Any) -> Any:
    """The dot product of both arrays flattened."""
    return tensordot(ravel(a), ravel(b), ([0], [0]))


def inner(a: Any, b: Any) -> Any:
    """Sums over the last axes of both; a product with a scalar."""
    if not rank(a) or not rank(b):
        return e.mul(a, b)
    return tensordot(a, b, ([rank(a) - 1], [rank(b) - 1]))


def vecdot(a: Any, b: Any, axis: int = -1) -> Any:
    """Σ a · b along one axis of both; the others broadcast."""
    a, b = moveaxis(a, axis, -1), moveaxis(b, axis, -1)
    result = matmul(expand_dims(a, rank(a) - 1), expand_dims(b, rank(b)))
    return reshape(result, shape(result)[:-2])


def outer(a: Any, b: Any) -> Any:
    """a[i] · b[j] of both arrays flattened."""
    return e.mul(expand_dims(ravel(a), 1), expand_dims(ravel(b), 0))


def kron(a: Any, b: Any) -> Any:
    """The Kronecker product of arrays of one rank."""
    count = max(rank(a), rank(b))
    left = [1] * (count - rank(a)) + list(shape(a))
    right = [1] * (count - rank(b)) + list(shape(b))
    spread_a = reshape(a, [each for size in left for each in (size, 1)])
    spread_b = reshape(b, [each for size in right for each in (1, size)])
    return reshape(
        e.mul(spread_a, spread_b), [x * y for x, y in zip(left, right, strict=True)]
    )


def tensordot(a: Any, b: Any, axes: Any = 2) -> Any:
    """Sums over pairs of axes: the last n of a with the first n of b, or as listed."""
    if isinstance(axes, Sequence):
        left, right = (
            [each] if not isinstance(each, Sequence) else list(each) for each in axes
        )
    else:
        count = operator.index(axes)
        left = list(range(rank(a) - count, rank(a)))
        right = list(range(count))
    left = [normalize_axis("tensordot", axis, rank(a)) for axis in left]
    right = [normalize_axis("tensordot", axis, rank(b)) for axis in right]
    for i, j in zip(left, right, strict=True):
        x, y = shape(a)[i], shape(b)[j]
        if isinstance(x, int) and isinstance(y, int) and x != y:
            raise InputError(
                f"'tensordot' needs equal sizes on contracted axes, but axis {i} of a "
                f"has {x} and axis {j} of b has {y}"
            )
    return dot_general(a, b, contract_a=left, contract_b=right)


def linear(x: Any, weight: Any, bias: Any = None) -> Any:
    """x · weightᵀ + bias, with weight[out, in]."""
    values, result = _contractable("linear", x, weight, None)
    value, matrix = values
    if rank(value) < 2:
        product = matmul(value, transpose(matrix))
    else:
        sizes = [*shape(value)[:-1], shape(matrix)[0]]
        product = emit("matmul", value, matrix, transpose_b=True, like=sizes)
        product = cast(product, result)
    return product if bias is None else e.add(product, bias)


def gemm(
    a: Any,
    b: Any,
    c: Any = None,
    alpha: float = 1.0,
    beta: float = 1.0,
    transpose_a: bool = False,
    transpose_b: bool = False,
) -> Any:
    """α · a · b + β · c, of matrices, as BLAS and ONNX define it."""
    (left, right), result = _contractable("gemm", a, b, None)
    m = shape(left)[1 if transpose_a else 0]
    n = shape(right)[0 if transpose_b else 1]
    product = emit(
        "matmul",
        left,
        right,
        transpose_a=bool(transpose_a),
        transpose_b=bool(transpose_b),
        like=[m, n],
    )
    product = cast(product, result)
    if alpha != 1.0:
        product = e.mul(product, alpha)
    if c is None or beta == 0.0:
        return product
    return e.add(product, c if beta == 1.0 else e.mul(c, beta))

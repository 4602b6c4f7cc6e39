"""Shape arithmetic, computed on import: small integer tensors stay NumPy arrays.

The chains of Shape, Gather, Concat, ... that exporters write to compute sizes never
become ops of the program. An array of dtype object holds sizes of which some are
`DimExpr`, the sizes of dynamic axes; the same functions serve both.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ix.importer import dims
from ix.importer.dims import DimExpr
from ix.importer.onnx.node import Node, Unsupported

__all__ = ["FOLDS", "MAX_FOLDED", "fold", "pack"]

MAX_FOLDED = 4096
"""The largest tensor that is folded here, in elements."""

Array = np.ndarray[Any, Any]


def fold(node: Node) -> list[Array] | None:
    """The outputs of a node whose inputs are small and known, else None."""
    rule = FOLDS.get(node.op_type)
    present = [value for value in node.raw_inputs if value is not None]
    if rule is None or node.proto.domain not in ("", "ai.onnx"):
        return None
    if not all(isinstance(value, np.ndarray) for value in present):
        return None
    if sum(value.size for value in present) > MAX_FOLDED:
        return None
    with np.errstate(all="ignore"):
        result = rule(node, *node.raw_inputs)
    if result is None:
        return None
    outputs = result if isinstance(result, list) else [result]
    return [settle(output) for output in outputs]


def pack(sizes: Any) -> Array:
    """Sizes as an i64 array, or as an object array where one is dynamic."""
    sizes = list(sizes)
    if not any(isinstance(size, DimExpr) for size in sizes):
        return np.array([int(size) for size in sizes], np.int64)
    array = np.empty(len(sizes), object)
    array[:] = sizes
    return array


def settle(array: Any) -> Array:
    """An object array without dynamic sizes becomes one of integers."""
    array = np.asarray(array)
    if array.dtype != object:
        return array
    if any(isinstance(item, DimExpr) for item in array.flat):
        return array
    kind = np.bool_ if all(isinstance(i, bool) for i in array.flat) else np.int64
    return array.astype(kind if array.size else np.int64)


def _symbolic(*arrays: Array) -> bool:
    return any(array.dtype == object for array in arrays)


def _same_type(rule: Callable[..., Any]) -> Callable[..., Any]:
    """A rule that keeps the dtype of its first operand."""

    def folded(node: Node, *values: Array) -> Any:
        result = np.asarray(rule(*values))
        return result if _symbolic(*values) else result.astype(values[0].dtype)

    return folded


def _divide(a: Array, b: Array) -> Any:
    """Integers: truncating, as C divides; sizes are never negative."""
    if _symbolic(a, b):
        return a // b
    if a.dtype.kind not in "iu":
        return a / b
    if not np.all(b):
        raise Unsupported("divides an integer by zero")
    # Exact beyond 2^53, where a float quotient is not.
    quotient = np.abs(a) // np.abs(b)
    return np.where((a < 0) != (b < 0), -quotient, quotient)


def _each(function: Callable[[Any, Any], Any]) -> Callable[..., Any]:
    """A rule from a function of two sizes, applied to each pair of elements."""
    vectorised = np.frompyfunc(function, 2, 1)

    def folded(*values: Array) -> Any:
        result = values[0]
        for value in values[1:]:
            result = vectorised(result, value)
        return result

    return folded


def _extremum(numpy: Any, size: Callable[[Any, Any], Any]) -> Callable[..., Any]:
    symbolic = _each(size)

    def folded(*values: Array) -> Any:
        if _symbolic(*values):
            return symbolic(*values)
        result = values[0]
        for value in values[1:]:
            result = numpy(result, value)
        return result

    return _same_type(folded)


def _compare(function: Callable[[Any, Any], Any]) -> Callable[..., Any]:
    """A comparison; of a dynamic size where its bounds decide."""
    exact = np.frompyfunc(lambda a, b: bool(function(a, b)), 2, 1)

    def folded(node: Node, a: Array, b: Array) -> Array:
        if _symbolic(a, b):
            return np.asarray(exact(a, b)).astype(np.bool_)
        return np.asarray(function(a, b))

    return folded


def _modulo(node: Node, a: Array, b: Array) -> Any:
    if not _symbolic(a, b) and b.dtype.kind in "iu" and not np.all(b):
        raise Unsupported("divides an integer by zero")
    return np.fmod(a, b) if node.flag("fmod") else np.mod(a, b)


def _cast(node: Node, value: Array) -> Array | None:
    dtype = node.dtype_attribute("to")
    if _symbolic(value):
        return value if dtype.kind in "iu" else None
    if value.dtype.kind == "f" and dtype.kind in "iub" and not np.isfinite(value).all():
        return None
    return value.astype(dtype) if value.dtype.kind in "iubf" else None


def _axes(node: Node, values: tuple[Array | None, ...]) -> list[int] | None:
    """Axes: an input since opset 13, an attribute before."""
    if len(values) > 1 and values[1] is not None:
        return [int(axis) for axis in values[1].reshape(-1)]
    return node.integers("axes") if node.has_attribute("axes") else None


def _squeeze(node: Node, value: Array, *rest: Any) -> Array:
    axes = _axes(node, (value, *rest))
    return np.squeeze(value, axis=None if axes is None else tuple(axes))


def _unsqueeze(node: Node, value: Array, *rest: Any) -> Array:
    return np.expand_dims(value, tuple(_axes(node, (value, *rest)) or ()))


def _gather(node: Node, value: Array, indices: Array) -> Array | None:
    axis = node.axis("axis", 0, value.ndim)
    if indices.size and (
        indices.min() < -value.shape[axis] or indices.max() >= value.shape[axis]
    ):
        return None
    return np.take(value, indices.astype(np.int64), axis=axis)


def _concat(node: Node, *values: Array) -> Array:
    if _symbolic(*values):
        values = tuple(value.astype(object) for value in values)
    return np.concatenate(values, axis=node.axis("axis", None, values[0].ndim))


def _slice(node: Node, value: Array, *bounds: Array | None) -> Array | None:
    if len(bounds) < 2 or any(b is not None and _symbolic(b) for b in bounds):
        return None
    starts, ends = bounds[0], bounds[1]
    if starts is None or ends is None:
        return None
    axes = bounds[2] if len(bounds) > 2 else None
    steps = bounds[3] if len(bounds) > 3 else None
    places = np.arange(len(starts)) if axes is None else axes
    strides = np.ones(len(starts), int) if steps is None else steps
    index = [slice(None)] * value.ndim
    for axis, low, high, step in zip(places, starts, ends, strides, strict=True):
        stop = None if step < 0 and high < -value.shape[axis] else int(high)
        index[int(axis)] = slice(int(low), stop, int(step))
    return value[tuple(index)]


def _reshape(node: Node, value: Array, shape: Array) -> Array | None:
    if _symbolic(shape):
        return None
    sizes = [int(size) for size in shape]
    if not node.flag("allowzero"):
        sizes = [value.shape[i] if s == 0 else s for i, s in enumerate(sizes)]
    return value.reshape(sizes)


def _filled(node: Node, shape: Array) -> Array | None:
    if _symbolic(shape) or np.prod(shape, dtype=float) > MAX_FOLDED:
        return None
    fill = node.array("value") if node.has_attribute("value") else np.float32(0)
    return np.full([int(size) for size in shape], np.asarray(fill).reshape(-1)[0])


def _expand(node: Node, value: Array, shape: Array) -> Array | None:
    if _symbolic(shape):
        return None
    sizes = np.broadcast_shapes(value.shape, tuple(int(size) for size in shape))
    small = np.prod(sizes, dtype=float) <= MAX_FOLDED
    return np.broadcast_to(value, sizes) if small else None


def _range(node: Node, start: Array, limit: Array, delta: Array) -> Array | None:
    if _symbolic(start, limit, delta) or not np.any(delta):
        return None
    start, limit, delta = (each.reshape(()) for each in (start, limit, delta))
    count = np.ceil((limit.astype(float) - start) / delta)
    if not 0 <= count <= MAX_FOLDED:
        return None
    steps = np.arange(int(count)).astype(start.dtype)
    return (start + steps * delta).astype(start.dtype)


def _where(node: Node, condition: Array, a: Array, b: Array) -> Array:
    if _symbolic(a, b):
        a, b = a.astype(object), b.astype(object)
    return np.where(condition, a, b)


def _product(node: Node, value: Array, *rest: Any) -> Array | None:
    axes = _axes(node, (value, *rest))
    if axes is None and node.flag("noop_with_empty_axes"):
        return value
    if _symbolic(value) and (value.ndim != 1 or axes not in (None, [0], [-1])):
        return None
    if _symbolic(value):
        total = np.empty((1,) if node.flag("keepdims", True) else (), object)
        total[...] = dims.product(value)
        return total
    over = tuple(axes) if axes else None
    result = np.prod(value, axis=over, keepdims=node.flag("keepdims", True))
    return np.asarray(result, value.dtype)


def _size(node: Node, value: Array) -> Array:
    return np.asarray(value.size, np.int64)


def _shape(node: Node, value: Array) -> Array:
    end = node.integer("end", value.ndim)
    return np.array(value.shape[node.integer("start", 0) : end], np.int64)


def _logic(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda node, *values: function(*values)


FOLDS: dict[str, Callable[..., Any]] = {
    "Abs": lambda node, value: None if _symbolic(value) else np.abs(value),
    "Add": _same_type(lambda a, b: a + b),
    "And": _logic(np.logical_and),
    "Cast": _cast,
    "Concat": _concat,
    "ConstantOfShape": _filled,
    "Div": _same_type(_divide),
    "Equal": _compare(lambda a, b: a == b),
    "Expand": _expand,
    "Gather": _gather,
    "Greater": _compare(lambda a, b: a > b),
    "GreaterOrEqual": _compare(lambda a, b: a >= b),
    "Identity": lambda node, value: value,
    "Less": _compare(lambda a, b: a < b),
    "LessOrEqual": _compare(lambda a, b: a <= b),
    "Max": _extremum(np.maximum, dims.maximum),
    "Min": _extremum(np.minimum, dims.minimum),
    "Mod": _modulo,
    "Mul": _same_type(lambda a, b: a * b),
    "Neg": _same_type(lambda value: -value),
    "Not": _logic(np.logical_not),
    "Or": _logic(np.logical_or),
    "Range": _range,
    "ReduceProd": _product,
    "Reshape": _reshape,
    "Shape": _shape,
    "Size": _size,
    "Slice": _slice,
    "Squeeze": _squeeze,
    "Sub": _same_type(lambda a, b: a - b),
    "Unsqueeze": _unsqueeze,
    "Where": _where,
}
"""Op type → its NumPy rule; a rule gives None where it does not apply."""

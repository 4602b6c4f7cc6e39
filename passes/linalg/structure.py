"""Recognises contractions and convolutions among linalg.generic ops.

Both multiply two inputs, each perhaps widened, and add the product to the one result.
They differ in where the inputs are read: a contraction reads each axis along one loop
(or at 0), a convolution reads some axes of its first input at sums of loops.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass
from typing import Any

from ix.mlir import defining_op, ir

__all__ = [
    "Contraction",
    "Convolution",
    "Reading",
    "match_contraction",
    "match_convolution",
]

_EXTENSIONS = {
    "arith.extf": "extf",
    "arith.extsi": "extsi",
    "arith.extui": "extui",
}
_PRODUCTS = {"arith.mulf": "arith.addf", "arith.muli": "arith.addi"}


@dataclass(frozen=True)
class Reading:
    """The index Σ factor · loop + offset at which an axis is read."""

    factors: Mapping[int, int]
    offset: int = 0

    @property
    def loop(self) -> int | None:
        """The loop that the axis runs along, if it is read at just that."""
        plain = self.offset == 0 and list(self.factors.values()) == [1]
        return next(iter(self.factors)) if plain else None


@dataclass(frozen=True)
class Contraction:
    """out[batch, m, n] += Σ over k of a[batch, m, k] · b[batch, k, n].

    The loops of each kind are in ascending order. A batch axis that one input
    broadcasts over is an m or n loop.

    Attributes:
        batch, m, n, k: Loops.
        a_axes, b_axes, out_axes: The loop that each axis of a, of b and of the result
            runs along; None where the axis has size 1 and is read at 0.
        extend_a, extend_b: "extf", "extsi", "extui", or None: how elements are widened.
    """

    batch: tuple[int, ...]
    m: tuple[int, ...]
    n: tuple[int, ...]
    k: tuple[int, ...]
    a_axes: tuple[int | None, ...]
    b_axes: tuple[int | None, ...]
    out_axes: tuple[int | None, ...]
    extend_a: str | None
    extend_b: str | None


@dataclass(frozen=True)
class Convolution:
    """out[n, g, o, p] += Σ over i and taps of x[n, g, i, p·stride + tap·dilation] · f.

    Attributes:
        batch: Loops of the first input and the result: samples, and places that need no
            window.
        groups: Loops of all three.
        outputs: Loops of the filter and the result: output channels, phases.
        inputs: Loops of both inputs that are summed over: input channels.
        places: The loop over each windowed axis's places in the result.
        taps: The loop over each windowed axis's filter; None where it has one tap.
        strides, dilations, offsets: Place p and tap k read x at p·stride + k·dilation +
            offset. A transposed convolution has dilation −1.
        x_axes: How each axis of the first input is read.
        filter_axes, out_axes: The loop of each axis of the filter, and of the result.
        extend_x, extend_filter: As in `Contraction`.
    """

    batch: tuple[int, ...]
    groups: tuple[int, ...]
    outputs: tuple[int, ...]
    inputs: tuple[int, ...]
    places: tuple[int, ...]
    taps: tuple[int | None, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    offsets: tuple[int, ...]
    x_axes: tuple[Reading, ...]
    filter_axes: tuple[int | None, ...]
    out_axes: tuple[int | None, ...]
    extend_x: str | None
    extend_filter: str | None


def match_contraction(op: Any) -> Contraction | None:
    """The loops of a contraction, or None for any other op."""
    product = _match_product(op)
    if product is None:
        return None
    a, b, out = (_loops(readings) for readings in product.readings)
    if a is None or b is None or out is None:
        return None
    kinds = _classified(product.rank, set(a), set(b), set(out))
    if kinds is None:
        return None
    batch, m, n, k = kinds
    return Contraction(batch, m, n, k, a, b, out, *product.extensions)


def match_convolution(op: Any) -> Convolution | None:
    """The loops of a convolution, or None for any other op, contractions included."""
    product = _match_product(op)
    if product is None:
        return None
    x, filter_, out = product.readings
    filter_loops, out_loops = _loops(filter_), _loops(out)
    if filter_loops is None or out_loops is None:
        return None
    windows = _windows(x, out_loops)
    if not windows:
        return None
    places, taps, strides, dilations, offsets = zip(*windows, strict=True)
    windowed = {*places, *taps}
    plain = {reading.loop for reading in x if not _is_windowed(reading)}
    others = (set(filter_loops) - windowed, set(out_loops) - windowed)
    kinds = _classified(product.rank, plain, *others, windowed)
    if kinds is None:
        return None
    groups, batch, outputs, inputs = kinds
    return Convolution(
        batch=batch,
        groups=groups,
        outputs=outputs,
        inputs=inputs,
        places=places,
        taps=taps,
        strides=strides,
        dilations=dilations,
        offsets=offsets,
        x_axes=x,
        filter_axes=filter_loops,
        out_axes=out_loops,
        extend_x=product.extensions[0],
        extend_filter=product.extensions[1],
    )


@dataclass(frozen=True)
class _Product:
    """A generic that adds products: how it reads its operands, and how it widens."""

    rank: int
    readings: tuple[tuple[Reading, ...], ...]
    extensions: tuple[str | None, str | None]


def _match_product(op: Any) -> _Product | None:
    """A generic of two inputs and one result whose body is total + a · b."""
    if op.operation.name != "linalg.generic" or len(op.operation.operands) != 3:
        return None
    if len(list(op.inputs)) != 2 or len(list(op.operation.results)) != 1:
        return None
    extensions = _match_body(op.operation.regions[0].blocks[0])
    if extensions is None:
        return None
    maps = [attribute.value for attribute in op.indexing_maps]
    readings = []
    for map_ in maps:
        axes = [_reading(expr) for expr in map_.results]
        known = tuple(reading for reading in axes if reading is not None)
        if len(known) < len(axes):
            return None
        readings.append(known)
    return _Product(maps[0].n_dims, tuple(readings), extensions)


def _match_body(block: Any) -> tuple[str | None, str | None] | None:
    """The extensions of both factors, if the body yields total + a · b."""
    a, b, total = block.arguments
    added: Any = defining_op(list(block.operations)[-1].operands[0])
    for product, sum_ in _orders(added):
        multiplied = defining_op(product)
        if sum_ != total or _sum_of(multiplied) != added.operation.name:
            continue
        for x, y in _orders(multiplied):
            x, extend_x = _widened(x)
            y, extend_y = _widened(y)
            if x == a and y == b:
                return extend_x, extend_y
    return None


def _sum_of(multiplied: Any) -> str | None:
    """The op that adds up what an op multiplies, or None."""
    if multiplied is None:
        return None
    return _PRODUCTS.get(multiplied.operation.name)


def _orders(op: Any) -> Iterator[tuple[Any, Any]]:
    """Both orders of the operands of a binary op."""
    if op is not None and len(op.operation.operands) == 2:
        left, right = op.operation.operands
        yield left, right
        yield right, left


def _widened(value: ir.Value) -> tuple[ir.Value, str | None]:
    """What a value was before it was extended, and by which op."""
    op = defining_op(value)
    if op is None or op.operation.name not in _EXTENSIONS:
        return value, None
    return op.operation.operands[0], _EXTENSIONS[op.operation.name]


def _reading(expr: Any) -> Reading | None:
    """An affine expression without division as a sum of scaled loops, or None."""
    if isinstance(expr, ir.AffineDimExpr):
        return Reading({expr.position: 1})
    if isinstance(expr, ir.AffineConstantExpr):
        return Reading({}, expr.value)
    if not isinstance(expr, ir.AffineBinaryExpr):
        return None
    left, right = _reading(expr.lhs), _reading(expr.rhs)
    if left is None or right is None:
        return None
    if isinstance(expr, ir.AffineAddExpr):
        loops = sorted({*left.factors, *right.factors})
        factors = {
            loop: left.factors.get(loop, 0) + right.factors.get(loop, 0)
            for loop in loops
        }
        return Reading(factors, left.offset + right.offset)
    if isinstance(expr, ir.AffineMulExpr) and not right.factors:
        scale = right.offset
        factors = {loop: factor * scale for loop, factor in left.factors.items()}
        return Reading(factors, left.offset * scale)
    return None


def _loops(readings: tuple[Reading, ...]) -> tuple[int | None, ...] | None:
    """The loop of each axis, None for one read at 0; None if another is among them."""
    if any(_is_windowed(reading) for reading in readings):
        return None
    return tuple(reading.loop for reading in readings)


def _is_windowed(reading: Reading) -> bool:
    """Whether an axis is read elsewhere than along one loop, or at 0."""
    return reading.loop is None and (bool(reading.factors) or reading.offset != 0)


def _windows(
    readings: tuple[Reading, ...], out: tuple[int | None, ...]
) -> list[tuple[int, int | None, int, int, int]]:
    """Place loop, tap loop, stride, dilation and offset of each windowed axis.

    Empty where an axis is read at something else than a place and at most one tap.
    """
    windows = []
    for reading in filter(_is_windowed, readings):
        places = [loop for loop in reading.factors if loop in out]
        taps = [loop for loop in reading.factors if loop not in places]
        if len(places) != 1 or len(taps) > 1:
            return []
        tap = taps[0] if taps else None
        dilation = 1 if tap is None else reading.factors[tap]
        stride = reading.factors[places[0]]
        windows.append((places[0], tap, stride, dilation, reading.offset))
    return windows


def _classified(
    rank: int,
    a: Set[Any],
    b: Set[Any],
    out: Set[Any],
    ignored: Set[Any] = frozenset(),
) -> tuple[tuple[int, ...], ...] | None:
    """Loops of all three, of a and the result, of b and the result, of a and b.

    None if a loop is in one operand alone.
    """
    kinds: dict[tuple[bool, bool, bool], list[int]] = {
        (True, True, True): [],
        (True, False, True): [],
        (False, True, True): [],
        (True, True, False): [],
    }
    for loop in range(rank):
        if loop in ignored:
            continue
        found = kinds.get((loop in a, loop in b, loop in out))
        if found is None:
            return None
        found.append(loop)
    return tuple(tuple(loops) for loops in kinds.values())

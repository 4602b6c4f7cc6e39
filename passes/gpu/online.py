"""Two reductions of a row, the second of which needs the first one's result, at once.

    m = max x,  l = Σ exp(x − m)            softmax, logsumexp
        a tile's maximum m';  l = l · exp(m − m') + Σ exp(x − m')
    s = Σ x,  v = Σ (x − c)²,  c of s       variance
        a tile's sum and squares about its own mean, joined to those before

Each thread keeps such a pair, pairs are joined as tiles are, and the row is read once
for both. c is any value that is one a row: Σ (x − c)² = Σ (x − mean)² + n (mean − c)².

Sources: Milakov, Gimelshein, "Online normalizer calculation for softmax", 2018; Chan,
Golub, LeVeque, "Updating formulae and a pairwise algorithm for computing sample
variances", 1979.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ix.mlir import arith, defining_op, ir, vector
from ix.passes.gpu.reduce_threads import across_lanes
from ix.passes.schedule.body import clone_op, is_vector, widen
from ix.passes.schedule.elemental import Elemental, Lanes
from ix.passes.schedule.index import Index
from ix.passes.schedule.reduction import (
    Combiner,
    accumulate,
    associative,
    initial_values,
    neutral_value,
)
from ix.passes.schedule.structure import kind_of

__all__ = ["OnlinePair", "Point", "online_pair"]

Point = tuple[list[Index], Any]
"""A vector of the row: its indices, and whether it is inside; None for always."""


@dataclass(frozen=True)
class _Leaf:
    """A tensor that an expression reads, and the map that it is read by."""

    tensor: Any
    map: Any

    def same(self, other: Any) -> bool:
        """Whether both are the same elements."""
        return (
            isinstance(other, _Leaf)
            and self.tensor == other.tensor
            and self.map == other.map
        )


@dataclass(frozen=True)
class _Node:
    """An op of an expression."""

    op: Any
    operands: tuple[Any, ...]

    @property
    def name(self) -> str:
        return str(self.op.operation.name)

    def same(self, other: Any) -> bool:
        """Whether both compute the same."""
        return (
            isinstance(other, _Node)
            and self.name == other.name
            and _attributes(self.op) == _attributes(other.op)
            and len(self.operands) == len(other.operands)
            and all(
                one.same(two)
                for one, two in zip(self.operands, other.operands, strict=True)
            )
        )


def online_pair(
    first: Any, second: Any, rows: int, elemental: Elemental, lanes: Lanes
) -> OnlinePair | None:
    """The pair that two reductions of a row are; None if they are no such pair.

    Args:
        first, second: Generics over the same points that `combiner_of` knows.
        rows: The leading axes of those points: all but the row itself.
    """
    names = [associative(op).op.operation.name for op in (first, second)]
    kind = _KINDS.get((names[0], names[1]))
    value, function = _reduced(first), _reduced(second)
    if kind is None or not isinstance(function, _Node):
        return None
    difference = kind.difference(function)
    if not (isinstance(difference, _Node) and difference.name == "arith.subf"):
        return None
    element, pivot = difference.operands
    if not (element.same(value) and isinstance(pivot, _Leaf)):
        return None
    if not kind.takes(first, pivot, rows):
        return None
    return kind(first, second, pivot, function.op, elemental, lanes)


def _reduced(op: Any) -> Any:
    """The expression that a reduction combines with its running value."""
    last = associative(op).op
    running = list(op.operation.regions[0].blocks[0].arguments)[len(list(op.inputs)) :]
    (value,) = [v for v in last.operation.operands if v not in running]
    return _expression(value, op)


def _expression(value: Any, generic: Any) -> Any:
    """A value of a generic's body, as far as it is made at the same point."""
    op = defining_op(value)
    if op is not None:
        operands = [_expression(v, generic) for v in op.operation.operands]
        return _Node(op, tuple(operands))
    number = ir.BlockArgument(value).arg_number
    tensor, map_ = generic.inputs[number], generic.indexing_maps[number].value
    source = defining_op(tensor)
    identity = ir.AffineMap.get_identity(map_.n_dims)
    if (
        source is None
        or source.operation.name != "linalg.generic"
        or kind_of(source) != "loop"
        or len(source.operation.results) != 1
        or [map_, list(source.indexing_maps)[-1].value] != [identity] * 2
    ):
        return _Leaf(tensor, map_)
    block = source.operation.regions[0].blocks[0]
    end = block.operations[len(block.operations) - 1]
    return _expression(end.operation.operands[0], source)


@dataclass
class OnlinePair:
    """Two reductions that one sweep computes.

    first, second: Their ops.
    pivot: What the second one subtracts from each element: one value a row.
    function: The op that it applies to the difference.
    elemental, lanes: What elements of the row are asked for with.
    """

    first: Any
    second: Any
    pivot: _Leaf
    function: Any
    elemental: Elemental
    lanes: Lanes

    @classmethod
    def difference(cls, function: _Node) -> Any:
        """x − pivot, of what the second reduction adds; None if that is another."""
        raise NotImplementedError

    @classmethod
    def takes(cls, first: Any, pivot: _Leaf, rows: int) -> bool:
        """Whether the pivot is what it must be."""
        raise NotImplementedError

    def start(self) -> list[Any]:
        """The state of a thread that has seen nothing."""
        raise NotImplementedError

    def update(self, state: list[Any], points: Sequence[Point]) -> list[Any]:
        """The state after a tile of points more."""
        raise NotImplementedError

    def across(self, state: list[Any]) -> list[Any]:
        """The state of a thread whose lanes are joined."""
        raise NotImplementedError

    def join(self, one: list[Any], other: list[Any]) -> list[Any]:
        """The state of two threads together."""
        raise NotImplementedError

    def total_of_first(self, state: list[Any]) -> Any:
        """The first reduction without its initial value."""
        raise NotImplementedError

    def total_of_second(self, state: list[Any], dims: list[Index]) -> Any:
        """The second one without its initial value; the first one is bound.

        Args:
            dims: The row's first point.
        """
        raise NotImplementedError

    def _element(self, op: Any, dims: list[Index]) -> Any:
        """What a reduction is given at a point: a vector."""
        combiner = associative(op)
        kind = initial_values(op, self.elemental)[0].type
        neutral = neutral_value(combiner, kind, self.lanes.count)
        return accumulate(op, self.elemental, dims, self.lanes, [neutral])[0]


class _Softmax(OnlinePair):
    """State: the maximum of the thread, and the sums of its lanes."""

    @classmethod
    def difference(cls, function: _Node) -> Any:
        return function.operands[0] if function.name == "math.exp" else None

    @classmethod
    def takes(cls, first: Any, pivot: _Leaf, rows: int) -> bool:
        return bool(_renamed(pivot.tensor) == first.operation.results[0])

    @property
    def _combiner(self) -> Combiner:
        return associative(self.first)

    def start(self) -> list[Any]:
        kind = initial_values(self.first, self.elemental)[0].type
        low = neutral_value(self._combiner, kind, 1)
        return [low, widen(arith.constant(kind, 0.0), self.lanes.count)]

    def update(self, state: list[Any], points: Sequence[Point]) -> list[Any]:
        maximum, total = state
        largest = maximum
        for dims, inside in points:
            found = self._element(self.first, dims)
            new = self._combiner(largest, across_lanes(self._combiner, found))
            largest = new if inside is None else arith.select(inside, new, largest)
        base = _finite(largest)
        total = _times(total, self._exp(arith.subf(maximum, base)), self.lanes.count)
        result = self.first.operation.results[0]
        # What depends on the running maximum must not be remembered.
        with self.elemental.scope():
            self.elemental.providers[result] = lambda _, __: base
            for dims, inside in points:
                new = accumulate(
                    self.second, self.elemental, dims, self.lanes, [total]
                )[0]
                total = new if inside is None else arith.select(inside, new, total)
            del self.elemental.providers[result]
        return [largest, total]

    def across(self, state: list[Any]) -> list[Any]:
        return [state[0], across_lanes(associative(self.second), state[1])]

    def join(self, one: list[Any], other: list[Any]) -> list[Any]:
        largest = self._combiner(one[0], other[0])
        base = _finite(largest)
        parts = [
            arith.mulf(total, self._exp(arith.subf(maximum, base)))
            for maximum, total in (one, other)
        ]
        return [largest, arith.addf(*parts)]

    def total_of_first(self, state: list[Any]) -> Any:
        return state[0]

    def total_of_second(self, state: list[Any], dims: list[Index]) -> Any:
        """NaN for a row of −∞ alone, as exp(−∞ − −∞) is."""
        maximum, total = state
        low = neutral_value(self._combiner, maximum.type, 1)
        empty = arith.cmpf(arith.CmpFPredicate.OEQ, maximum, low)
        return arith.select(empty, arith.constant(total.type, float("nan")), total)

    def _exp(self, x: Any) -> Any:
        return clone_op(self.function, [x], 1)[0]


class _Variance(OnlinePair):
    """State: how many elements a lane has seen, their sums, and squares about means."""

    @classmethod
    def difference(cls, function: _Node) -> Any:
        if function.name != "arith.mulf":
            return None
        one, other = function.operands
        return one if one.same(other) else None

    @classmethod
    def takes(cls, first: Any, pivot: _Leaf, rows: int) -> bool:
        results = pivot.map.results
        places = [r.position for r in results if isinstance(r, ir.AffineDimExpr)]
        others = [r for r in results if not isinstance(r, ir.AffineDimExpr)]
        constant = all(isinstance(r, ir.AffineConstantExpr) for r in others)
        return constant and all(place < rows for place in places)

    def start(self) -> list[Any]:
        kind = initial_values(self.first, self.elemental)[0].type
        zero = arith.constant(kind, 0.0)
        return [zero, *[widen(zero, self.lanes.count)] * 2]

    def update(self, state: list[Any], points: Sequence[Point]) -> list[Any]:
        zero, *_ = self.start()
        one = arith.constant(zero.type, 1.0)
        none = widen(zero, self.lanes.count)
        count, total, squares = zero, none, none
        found = [self._element(self.first, dims) for dims, _ in points]
        for value, (_, inside) in zip(found, points, strict=True):
            some = one if inside is None else arith.select(inside, one, zero)
            count = arith.addf(count, some)
            kept = value if inside is None else arith.select(inside, value, none)
            total = arith.addf(total, kept)
        mean = self._mean(count, total)
        for value, (_, inside) in zip(found, points, strict=True):
            away = arith.subf(value, mean)
            square = arith.mulf(away, away)
            kept = square if inside is None else arith.select(inside, square, none)
            squares = arith.addf(squares, kept)
        return self.join(state, [count, total, squares])

    def _mean(self, count: Any, total: Any) -> Any:
        one = arith.constant(count.type, 1.0)
        some = arith.divf(one, arith.maximumf(count, one))
        return _times(total, some, self.lanes.count)

    def across(self, state: list[Any]) -> list[Any]:
        count, *vectors = state
        if not is_vector(vectors[0]):
            return state
        lanes = [
            [count, *(_lane(value, lane) for value in vectors)]
            for lane in range(self.lanes.count)
        ]
        while len(lanes) > 1:
            lanes = [self.join(lanes[i], lanes[i + 1]) for i in range(0, len(lanes), 2)]
        return lanes[0]

    def join(self, one: list[Any], other: list[Any]) -> list[Any]:
        """M = M₁ + M₂ + (mean₂ − mean₁)² n₁ n₂ / (n₁ + n₂)."""
        count = arith.addf(one[0], other[0])
        apart = arith.subf(self._mean(*other[:2]), self._mean(*one[:2]))
        unit = arith.constant(count.type, 1.0)
        weight = arith.divf(arith.mulf(one[0], other[0]), arith.maximumf(count, unit))
        between = _times(arith.mulf(apart, apart), weight, self.lanes.count)
        squares = arith.addf(arith.addf(one[2], other[2]), between)
        return [count, arith.addf(one[1], other[1]), squares]

    def total_of_first(self, state: list[Any]) -> Any:
        return state[1]

    def total_of_second(self, state: list[Any], dims: list[Index]) -> Any:
        count, total, squares = state
        at = [self.elemental.math.affine(r, dims) for r in self.pivot.map.results]
        pivot = self.elemental.value_at(self.pivot.tensor, at, Lanes())
        away = arith.subf(self._mean(count, total), pivot)
        return arith.addf(squares, arith.mulf(count, arith.mulf(away, away)))


def _finite(maximum: Any) -> Any:
    """What to subtract: 0 where nothing but −∞ was seen."""
    low = arith.constant(maximum.type, float("-inf"))
    nothing = arith.cmpf(arith.CmpFPredicate.OEQ, maximum, low)
    return arith.select(nothing, arith.constant(maximum.type, 0.0), maximum)


def _times(value: Any, scalar: Any, lanes: int) -> Any:
    return arith.mulf(value, widen(scalar, lanes) if is_vector(value) else scalar)


def _lane(value: Any, lane: int) -> Any:
    return vector.extract(value, dynamic_position=[], static_position=[lane])


def _attributes(op: Any) -> dict[str, str]:
    attributes = op.operation.attributes
    return {name: str(attributes[name]) for name in attributes}


def _renamed(tensor: Any) -> Any:
    """The tensor whose memory an expand_shape or a collapse_shape gives a shape."""
    op = defining_op(tensor)
    while op is not None and kind_of(op) == "alias":
        tensor = op.operation.operands[0]
        op = defining_op(tensor)
    return tensor


_KINDS: dict[tuple[str, str], type[OnlinePair]] = {
    ("arith.maximumf", "arith.addf"): _Softmax,
    ("arith.maxnumf", "arith.addf"): _Softmax,
    ("arith.addf", "arith.addf"): _Variance,
}

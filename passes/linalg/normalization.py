"""Softmax and norms to the textbook sequence of generics.

softmax:  m = max x;  e = exp(x − m);  r = 1 / Σ e;  y = e · r
norms:    t = Σ x;  μ = t/n;  v = Σ (x − μ)²;  r = 1/√(v/n + ε);  y = (x − μ)·r·w + b

Short floats are widened where they are read, and the result rounds once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ix.dialects import ix
from ix.mlir import arith, ir, math
from ix.passes.linalg.accumulation import accumulator_type, lowest, narrow
from ix.passes.linalg.functions import named
from ix.passes.linalg.generic import (
    Lowered,
    Size,
    collapse,
    expand,
    extend,
    full,
    scalar,
    size_of,
    sizes_of,
)
from ix.passes.linalg.projection import project, sweep
from ix.passes.linalg.reduction import extremum_accumulator
from ix.passes.linalg.sizes import as_number, floor_divided, product


def lower_softmax(op: ix.SoftmaxOp, operands: list[ir.Value]) -> Lowered:
    """The exponentials of a row times the inverse of their sum, which is 1 at least."""
    (x,) = operands
    element = x.type.element_type
    type_ = accumulator_type(element)
    sizes, every, rest, peak = _softmax_parts(x, op.axis)
    power = project([(x, every), (peak, rest)], sizes, type_, _shifted_exp(type_))
    total = _sum(power, sizes, op.axis, lambda e: e)
    inverse = project(
        [(total, range(len(rest)))],
        [sizes[at] for at in rest],
        type_,
        lambda s: arith.DivFOp(scalar(1, type_), s).result,
    )

    def share(e: ir.Value, r: ir.Value) -> ir.Value:
        return narrow(arith.MulFOp(e, r).result, element)

    return project([(power, every), (inverse, rest)], sizes, element, share)


def lower_log_softmax(op: ix.LogSoftmaxOp, operands: list[ir.Value]) -> Lowered:
    (x,) = operands
    element = x.type.element_type
    type_ = accumulator_type(element)
    sizes, every, rest, peak = _softmax_parts(x, op.axis)
    power = project([(x, every), (peak, rest)], sizes, type_, _shifted_exp(type_))
    total = _sum(power, sizes, op.axis, lambda e: e)

    def share(x: ir.Value, m: ir.Value, s: ir.Value) -> ir.Value:
        shifted = arith.SubFOp(extend(x, type_), extend(m, type_)).result
        log = math.LogOp(s).result
        return narrow(arith.SubFOp(shifted, log).result, element)

    reads = [(x, every), (peak, rest), (total, rest)]
    return project(reads, sizes, element, share)


def _softmax_parts(
    x: ir.Value, axis: int
) -> tuple[list[Size], list[int], list[int], ir.Value]:
    """Sizes, all axes, all but one, and the maximum along that one.

    The maximum passes over NaN, which reaches the result through its own exponential.
    """
    sizes = sizes_of(x)
    every = list(range(len(sizes)))
    rest = [at for at in every if at != axis]
    type_ = extremum_accumulator(x.type.element_type)
    peak = sweep(
        [(x, every)],
        sizes,
        [axis],
        full([sizes[at] for at in rest], scalar(lowest(type_), type_)),
        lambda x, m: arith.MaxNumFOp(m, extend(x, type_)).result,
    )
    return sizes, every, rest, peak


def _shifted_exp(type_: ir.Type) -> Any:
    """exp(x − m), m the greatest x."""

    def body(x: ir.Value, m: ir.Value) -> ir.Value:
        shifted = arith.SubFOp(extend(x, type_), extend(m, type_)).result
        return named("exp_non_positive", math.ExpOp(shifted).result)

    return body


def _sum(x: ir.Value, sizes: Sequence[Size], axis: int, body: Any) -> ir.Value:
    every = list(range(len(sizes)))
    type_ = x.type.element_type
    out = full([s for at, s in enumerate(sizes) if at != axis], scalar(0, type_))
    return sweep(
        [(x, every)], sizes, [axis], out, lambda x, t: arith.AddFOp(t, body(x)).result
    )


def normalise(
    x: ir.Value,
    axes: Sequence[int],
    epsilon: float,
    factors: Sequence[tuple[ir.Value, Sequence[int]] | None],
    *,
    centre: bool = True,
) -> ir.Value:
    """(x − μ) · r · scale + bias over `axes`; without μ where `centre` is false.

    Args:
        x: The tensor; its element type is the result's.
        axes: What mean and variance go over, ascending.
        epsilon: Added to the variance.
        factors: Scale and bias, each with the axes of x it runs along, or None.
        centre: Whether the mean is subtracted.
    """
    element = x.type.element_type
    type_ = accumulator_type(element)
    sizes = sizes_of(x)
    every = list(range(len(sizes)))
    rest = [at for at in every if at not in axes]
    count = as_number(product(sizes[axis] for axis in axes), type_)
    statistics = [(x, every)]
    if centre:
        statistics.append((_mean(x, sizes, axes, count), rest))

    def centred(x: ir.Value, *mean: ir.Value) -> ir.Value:
        x = extend(x, type_)
        return arith.SubFOp(x, mean[0]).result if mean else x

    def add_square(*scalars: ir.Value) -> ir.Value:
        *read, total = scalars
        distance = centred(*read)
        return _add(total, _multiply(distance, distance))

    out = full([sizes[axis] for axis in rest], scalar(0, type_))
    square = sweep(statistics, sizes, axes, out, add_square)
    spread = _reciprocal_root(square, count, epsilon)
    reads = [*statistics, (spread, rest)]
    reads += [factor for factor in factors if factor is not None]

    def affine(*scalars: ir.Value) -> ir.Value:
        at = len(statistics)
        y = _multiply(centred(*scalars[:at]), scalars[at])
        remaining = iter(scalars[at + 1 :])
        for factor, combine in zip(factors, (_multiply, _add), strict=False):
            if factor is not None:
                y = combine(y, extend(next(remaining), type_))
        return narrow(y, element)

    return project(reads, sizes, element, affine)


def _multiply(a: ir.Value, b: ir.Value) -> ir.Value:
    """a · b, which may be one fma with a sum that it goes into."""
    return arith.MulFOp(a, b, fastmath=arith.FastMathFlags.contract).result


def _add(a: ir.Value, b: ir.Value) -> ir.Value:
    """a + b, which may be one fma with a product among them."""
    return arith.AddFOp(a, b, fastmath=arith.FastMathFlags.contract).result


def _mean(
    x: ir.Value, sizes: Sequence[Size], axes: Sequence[int], count: ir.Value
) -> ir.Value:
    type_ = count.type
    kept = [size for axis, size in enumerate(sizes) if axis not in axes]
    total = sweep(
        [(x, range(len(sizes)))],
        sizes,
        axes,
        full(kept, scalar(0, type_)),
        lambda x, t: arith.AddFOp(t, extend(x, type_)).result,
    )
    return project(
        [(total, range(len(kept)))],
        kept,
        type_,
        lambda t: arith.DivFOp(t, count).result,
    )


def _reciprocal_root(square: ir.Value, count: ir.Value, epsilon: float) -> ir.Value:
    """1/√(square / count + ε) of each element."""
    type_ = count.type

    def body(total: ir.Value) -> ir.Value:
        variance = arith.DivFOp(total, count).result
        return math.RsqrtOp(
            arith.AddFOp(variance, scalar(epsilon, type_)).result
        ).result

    sizes = sizes_of(square)
    return project([(square, range(len(sizes)))], sizes, type_, body)


def lower_layer_norm(op: ix.LayerNormOp, operands: list[ir.Value]) -> Lowered:
    axes = list(range(op.axis, operands[0].type.rank))
    return normalise(operands[0], axes, op.epsilon, _factors(op, operands, axes))


def lower_rms_norm(op: ix.RmsNormOp, operands: list[ir.Value]) -> Lowered:
    axes = list(range(op.axis, operands[0].type.rank))
    factors = _factors(op, operands, axes)
    return normalise(operands[0], axes, op.epsilon, factors, centre=False)


def lower_instance_norm(op: ix.InstanceNormOp, operands: list[ir.Value]) -> Lowered:
    axes = list(range(2, operands[0].type.rank))
    return normalise(operands[0], axes, op.epsilon, _factors(op, operands, [1]))


def lower_group_norm(op: ix.GroupNormOp, operands: list[ir.Value]) -> Lowered:
    """Splits the channels into groups, normalises [n, g, c/g, …] and joins them."""
    split = [split_axis(operands[0], 1, op.groups)]
    split += [split_axis(vector, 0, op.groups) for vector in operands[1:]]
    rank = split[0].type.rank
    factors = _factors(op, split, [1, 2])
    result = normalise(split[0], list(range(2, rank)), op.epsilon, factors)
    return collapse(result, [[0], [1, 2], *([axis] for axis in range(3, rank))])


def lower_batch_norm(op: ix.BatchNormOp, operands: list[ir.Value]) -> Lowered:
    """r = scale / √(variance + ε) of each feature; then (x − mean) · r + bias."""
    x, scale, bias, mean, variance = operands
    element = x.type.element_type
    type_ = accumulator_type(element)

    def spread(scale: ir.Value, variance: ir.Value) -> ir.Value:
        safe = arith.AddFOp(extend(variance, type_), scalar(op.epsilon, type_)).result
        return arith.MulFOp(math.RsqrtOp(safe).result, extend(scale, type_)).result

    features = [size_of(scale, 0)]
    factor = project([(scale, [0]), (variance, [0])], features, type_, spread)

    def body(x: ir.Value, mean: ir.Value, r: ir.Value, bias: ir.Value) -> ir.Value:
        centred = arith.SubFOp(extend(x, type_), extend(mean, type_)).result
        scaled = arith.MulFOp(centred, r).result
        return narrow(arith.AddFOp(scaled, extend(bias, type_)).result, element)

    axis = [op.axis]
    reads = [(x, range(x.type.rank)), (mean, axis), (factor, axis), (bias, axis)]
    return project(reads, sizes_of(x), element, body)


def split_axis(value: ir.Value, axis: int, count: int) -> ir.Value:
    """Reshapes one axis of size s to [count, s / count]."""
    sizes = sizes_of(value)
    parts = [count, floor_divided(sizes[axis], count)]
    groups = [[at + (at > axis)] for at in range(len(sizes))]
    groups[axis] = [axis, axis + 1]
    return expand(value, [*sizes[:axis], *parts, *sizes[axis + 1 :]], groups)


def _factors(
    op: Any, operands: Sequence[ir.Value], axes: Sequence[int]
) -> list[tuple[ir.Value, Sequence[int]] | None]:
    """Scale and bias of an op with the axes they run along, or None."""
    rest = list(operands[1:])
    flags = (op.has_scale, op.has_bias)
    return [(rest.pop(0), axes) if flag else None for flag in flags]


LOWERINGS = {
    ix.SoftmaxOp: lower_softmax,
    ix.LogSoftmaxOp: lower_log_softmax,
    ix.LayerNormOp: lower_layer_norm,
    ix.RmsNormOp: lower_rms_norm,
    ix.BatchNormOp: lower_batch_norm,
    ix.GroupNormOp: lower_group_norm,
    ix.InstanceNormOp: lower_instance_norm,
}
"""Op class → (op, lowered operands) → result."""

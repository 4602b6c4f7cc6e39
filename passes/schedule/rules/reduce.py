"""Reductions over any axes: the fallback of everything that reduces.

    for each point of the output, a vector along its last axis:     the work items
      acc = initial
      for each point of the reduced axes: acc = body(inputs, acc)
      y = acc

Contractions that no faster rule takes come here too: the body is just a multiply and an
add.
"""

from __future__ import annotations

from typing import Any

from ix.mlir import defining_op
from ix.passes.schedule.body import widen
from ix.passes.schedule.elemental import Lanes
from ix.passes.schedule.index import Index
from ix.passes.schedule.kernel import Frame, Kernel, KernelCode, build, carry
from ix.passes.schedule.reduction import initial_values
from ix.passes.schedule.rules.loop import arithmetic, op_cost
from ix.passes.schedule.rules.row import iteration_space
from ix.passes.schedule.structure import kind_of, reduction_axes
from ix.passes.schedule.sweep import sweep
from ix.runtime.sizes import product
from ix.target import Target

__all__ = ["apply", "output_point", "reaches"]


def apply(kernel: Kernel, target: Target) -> KernelCode | None:
    """Takes kernels whose anchor is a generic that reduces."""
    anchors = [op for op in kernel.ops if kind_of(op) in ("reduce", "contraction")]
    if kernel.family not in ("reduce", "contraction") or len(anchors) != 1:
        return None
    anchor = anchors[0]
    domain = kernel.shape(anchor.operation.results[0])
    space = iteration_space(anchor, kernel)
    points = kernel.most(product(space))
    rows = product(domain[:-1])
    ns = points * op_cost(anchor) / 8

    def emit(frame: Frame) -> None:
        frame.for_items(lambda item: _emit_row(frame, anchor, item))

    return build(
        kernel,
        target,
        emit,
        family="reduce",
        items=rows,
        item_ns=ns / max(kernel.most(rows), 1),
        lanes=target.lanes(32),
        flops=points * arithmetic(anchor),
    )


def _emit_row(frame: Frame, anchor: Any, item: Index) -> None:
    """One row of the output, vectors along its last axis."""
    elemental = frame.elemental
    domain = frame.kernel.shape(anchor.operation.results[0])
    if not domain:
        _emit_point(frame, anchor, [], Lanes())
        return
    outer = elemental.math.delinearize(item, [elemental.base(s) for s in domain[:-1]])

    def vector(j: Index, lanes: Lanes, way: int, carried: Any) -> list[Any]:
        _emit_point(frame, anchor, [*outer, j], lanes)
        return []

    sweep(elemental, 0, elemental.base(domain[-1]), vector, [[]])


def _emit_point(frame: Frame, anchor: Any, at: list[Index], lanes: Lanes) -> None:
    """Reduces at one point (or vector of points) and stores the outputs."""
    elemental = frame.elemental
    results = list(anchor.operation.results)
    values = _reduced(frame, anchor, at, lanes)
    for result, value in zip(results, values, strict=True):
        elemental.providers[result] = lambda _, __, v=value: v
    for output, buffer in zip(frame.kernel.outputs, frame.outputs, strict=True):
        to = output_point(output, results[0], at)
        found = elemental.value_at(output, to, lanes)
        elemental.store(found, buffer, to, lanes, output.type.element_type)


def output_point(output: Any, root: Any, at: list[Index]) -> list[Index]:
    """The indices of an output at a point of the anchor's result.

    Epilogues read the anchor through permutations: they are undone from the root up.
    """
    if output.owner == root.owner:  # any result of the anchor: argmax has two
        return at
    op = defining_op(output)
    assert op is not None and op.operation.name == "linalg.generic"
    for operand, map_ in zip(op.inputs, op.indexing_maps, strict=False):
        if not reaches(operand, root):
            continue
        inner = output_point(operand, root, at)
        dims = [Index(0)] * map_.value.n_dims
        for expr, index in zip(map_.value.results, inner, strict=True):
            if hasattr(expr, "position"):
                dims[expr.position] = index
        return dims
    raise AssertionError("an output of the kernel does not come from its anchor")


def reaches(value: Any, root: Any) -> bool:
    """Whether `value` comes from the op of `root`, inside the kernel."""
    if value.owner == root.owner:
        return True
    op = defining_op(value)
    if op is None or op.operation.name != "linalg.generic":
        return False
    return any(reaches(v, root) for v in op.inputs)


def _reduced(frame: Frame, anchor: Any, at: list[Index], lanes: Lanes) -> list[Any]:
    elemental = frame.elemental
    axes = reduction_axes(anchor)
    space = iteration_space(anchor, frame.kernel)
    results = anchor.indexing_maps[len(list(anchor.inputs))].value.results
    dims: list[Index] = [Index(0)] * len(space)
    for expr, index in zip(results, at, strict=True):
        if hasattr(expr, "position"):
            dims[expr.position] = index
    initial = [widen(v, lanes.count) for v in initial_values(anchor, elemental)]

    def nest(depth: int, running: list[Any]) -> list[Any]:
        if depth == len(axes):
            full = Lanes(lanes.count, lanes.live)
            return _accumulate(anchor, frame, list(dims), full, running)
        axis = axes[depth]

        def each(i: Any, *carried: Any) -> list[Any]:
            dims[axis] = Index(i)
            return nest(depth + 1, list(carried))

        high = elemental.base(space[axis])
        return carry(0, high, 1, each, running, elemental)

    return nest(0, initial)


def _accumulate(
    anchor: Any, frame: Frame, dims: list[Index], lanes: Lanes, running: list[Any]
) -> list[Any]:
    """As `accumulate`; lanes beyond the edge are stored by nobody: none is masked."""
    elemental = frame.elemental
    inputs = [
        widen(v, lanes.count) for v in elemental.generic_operands(anchor, dims, lanes)
    ]
    values = elemental.generic_body(anchor, [*inputs, *running], dims, lanes)
    return [widen(v, lanes.count) for v in values]

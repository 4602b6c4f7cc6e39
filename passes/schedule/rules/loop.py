"""Loops over independent elements: elementwise ops and movement.

    for each row of the output, all axes but the last:       the work items
      for each vector of the last axis:
        y[row, j…] = value_at(y, row, j…)

Where every access is at the point itself the whole tensor is one row, cut into blocks.
"""

from __future__ import annotations

from typing import Any

from ix.mlir import defining_op, ir
from ix.passes.schedule.elemental import Lanes
from ix.passes.schedule.index import Index
from ix.passes.schedule.kernel import Frame, Kernel, KernelCode, build
from ix.passes.schedule.structure import body_ops
from ix.passes.schedule.sweep import sweep
from ix.runtime.sizes import Size, combine, product
from ix.target import Target

__all__ = ["apply", "arithmetic", "is_pointwise", "op_cost", "stream"]

BLOCK = 4096
"""Elements of a work item where rows are cut."""


def apply(kernel: Kernel, target: Target) -> KernelCode | None:
    """Takes kernels of family `loop`; all outputs have one shape."""
    if kernel.family != "loop":
        return None
    lanes = target.lanes(32)
    shape = kernel.shape(kernel.outputs[0])
    flat = is_pointwise(kernel)
    last: Size = product(shape) if flat else (shape[-1] if shape else 1)
    rows: Size = 1 if flat else product(shape[:-1])
    blocks: Size = 1
    if kernel.most(last) > 2 * BLOCK:
        blocks = combine("div", combine("add", last, BLOCK - 1), BLOCK)
    streams = [stream(kernel, v, target) for v in kernel.outputs]

    def item(frame: Frame, at: Index) -> None:
        math = frame.math
        row = math.divide(at, frame.elemental.base(blocks))
        block = math.remainder(at, frame.elemental.base(blocks))
        low = math.compute("mul", block.base, BLOCK)
        high = frame.elemental.base(last)
        if blocks != 1:
            high = math.compute("min", high, math.compute("add", low, BLOCK))
        if flat:
            outer = [Index(0)] * (len(shape) - 1)
        else:
            sizes = [frame.elemental.base(s) for s in shape[:-1]]
            outer = math.delinearize(row, sizes)
        _emit_row(frame, outer, low, high, bool(shape), streams, blocks == 1)

    elements = kernel.most(combine("mul", rows, last))
    work = sum(op_cost(op) for op in kernel.ops)
    ns = max(kernel.traffic / 10, elements * work / 16)
    items = combine("mul", rows, blocks)
    return build(
        kernel,
        target,
        lambda frame: frame.for_items(lambda at: item(frame, at)),
        family="loop",
        items=items,
        item_ns=ns / max(kernel.most(items), 1),
        lanes=lanes,
        flops=elements * sum(arithmetic(op) for op in kernel.ops),
        # Each element is read before it is written, and read nowhere else.
        in_place=flat and len(kernel.outputs) == 1,
    )


def _emit_row(
    frame: Frame,
    outer: list[Index],
    low: Any,
    high: Any,
    ranked: bool,
    streams: list[bool],
    whole: bool,
) -> None:
    kernel = frame.kernel
    elemental = frame.elemental
    if not ranked:
        for value, buffer in zip(kernel.outputs, frame.outputs, strict=True):
            element = elemental.value_at(value, [], Lanes())
            elemental.store(element, buffer, [], Lanes(), value.type.element_type)
        return
    for value, buffer, streamed in zip(
        kernel.outputs, frame.outputs, streams, strict=True
    ):
        pieces = _pieces(kernel, value) if whole else None
        first: Any = 0
        whole_value: list[tuple[Any, Any]] = [(value, None)]
        for piece, size in pieces or whole_value:
            start = low if size is None else 0
            end = high if size is None else elemental.base(size)
            _copy(frame, piece, value, buffer, outer, start, end, first, streamed)
            if size is not None:
                first = elemental.math.compute("add", first, elemental.base(size))


def _copy(
    frame: Frame,
    piece: Any,
    value: Any,
    buffer: Any,
    outer: list[Index],
    low: Any,
    high: Any,
    offset: Any,
    streamed: bool,
) -> None:
    """Writes a row of `piece` to the output's row, `offset` elements further."""
    elemental = frame.elemental

    def vector(j: Index, lanes: Lanes, way: int, carried: Any) -> list[Any]:
        found = elemental.value_at(piece, [*outer, j], lanes)
        to = elemental.math.add(j, Index(offset))
        kind = value.type.element_type
        elemental.store(found, buffer, [*outer, to], lanes, kind, streamed)
        return []

    sweep(elemental, low, high, vector, [[]])


def _pieces(kernel: Kernel, value: Any) -> list[tuple[Any, Size]] | None:
    """The tensors that `value` joins on its last axis, with their sizes; else None."""
    op = defining_op(value)
    if op is None or op.operation.name != "tensor.concat":
        return None
    axis = ir.IntegerAttr(op.operation.attributes["dim"]).value
    if axis != len(value.type.shape) - 1:
        return None
    return [(v, kernel.shape(v)[axis]) for v in op.operation.operands]


def is_pointwise(kernel: Kernel) -> bool:
    """Whether every op reads its operands at the point itself, or reads scalars."""
    shape = kernel.shape(kernel.outputs[0])
    for op in kernel.ops:
        name = op.operation.name
        if name in ("tensor.empty", "arith.constant", "linalg.fill"):
            continue
        if name != "linalg.generic" or any(
            o.operation.name in ("linalg.index", "tensor.extract") for o in body_ops(op)
        ):
            return False
        identity = [f"d{i}" for i in range(len(shape))]
        for operand, map_ in zip(op.inputs, op.indexing_maps, strict=False):
            results = [str(r) for r in map_.value.results]
            if results != identity and kernel.shape(operand) != ():
                return False
            if results and kernel.shape(operand) != shape:
                return False
    return bool(shape)


def stream(kernel: Kernel, value: Any, target: Target) -> bool:
    """Whether an output is written past the caches.

    It pays where the output is larger than the last-level cache share and is not read
    again by this kernel; the rows must be whole vectors, so that stores are aligned.
    """
    last = value.type.shape[-1] if value.type.shape else 1
    return (
        kernel.bytes_of(value) >= STREAM_BYTES
        and last > 0
        and last * _bits(value) % 512 == 0
        and target.vector_bytes == 64
        and _bits(value) == 32
    )


STREAM_BYTES = 8 << 20
"""Outputs from here on are written with non-temporal stores."""


def _bits(value: Any) -> int:
    return getattr(value.type.element_type, "width", 64)


def op_cost(op: Any) -> float:
    """Rough cost of one element, in vector instructions."""
    if op.operation.name != "linalg.generic":
        return 1.0
    names = [o.operation.name for o in body_ops(op)]
    return sum(_COSTS.get(n, 12.0 if n.startswith("math.") else 1.0) for n in names)


_COSTS = {"arith.divf": 8.0, "tensor.extract": 8.0, "linalg.yield": 0.0}


def arithmetic(op: Any) -> int:
    """Floating-point operations of one element; an elementary function counts one."""
    if op.operation.name != "linalg.generic":
        return 0
    return sum(
        o.operation.name.startswith("math.")
        or (o.operation.name.startswith("arith.") and o.operation.name.endswith("f"))
        for o in body_ops(op)
    )

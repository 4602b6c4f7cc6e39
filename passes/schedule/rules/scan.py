"""Running sums and products along one axis.

for each line along the axis, a vector of lines where the axis is not the last:
  for j along the axis: acc = acc ∘ x[j];  y[j] = acc        the work items: lines
"""

from __future__ import annotations

from typing import Any

from ix.mlir import arith, ir
from ix.passes.schedule import storage
from ix.passes.schedule.body import widen
from ix.passes.schedule.elemental import Elemental, Lanes
from ix.passes.schedule.index import Index
from ix.passes.schedule.kernel import Frame, Kernel, KernelCode, build, carry
from ix.passes.schedule.sweep import sweep
from ix.runtime.sizes import product
from ix.target import Target

__all__ = ["Scan", "apply"]


def apply(kernel: Kernel, target: Target) -> KernelCode | None:
    """Takes ix.cumsum and ix.cumprod."""
    if kernel.family not in ("cumsum", "cumprod"):
        return None
    scan = Scan(kernel)
    points = kernel.most(product(scan.shape))
    items = product(scan.outer)
    return build(
        kernel,
        target,
        lambda frame: frame.for_items(lambda item: scan.emit(frame, item)),
        family="scan",
        items=items,
        item_ns=2.0 * points / max(kernel.most(items), 1),
        lanes=target.lanes(32),
        flops=points,
    )


class Scan:
    """What a kernel scans.

    input: The tensor; shape: its sizes; axis: the one that is scanned.
    exclusive: Whether an element is left out of its own result.
    reverse: Whether the last element comes first.
    """

    def __init__(self, kernel: Kernel) -> None:
        (op,) = [o for o in kernel.ops if o.operation.name.startswith("ix.cum")]
        attributes = op.operation.attributes
        self.kernel = kernel
        self.input = op.operation.operands[0]
        self.shape = kernel.shape(op.operation.results[0])
        self.axis = ir.IntegerAttr(attributes["axis"]).value
        self.exclusive = ir.BoolAttr(attributes["exclusive"]).value
        self.reverse = ir.BoolAttr(attributes["reverse"]).value
        self.product = op.operation.name == "ix.cumprod"
        rest = [*self.shape[: self.axis], *self.shape[self.axis + 1 :]]
        self.lines = rest
        self.last = self.axis == len(self.shape) - 1
        self.vectors = not self.last
        self.outer = rest[:-1] if self.vectors else rest
        element = self.input.type.element_type
        self.element = element
        self.wide = ir.F32Type.get() if str(element) in ("f16", "bf16") else element

    def emit(self, frame: Frame, item: Index) -> None:
        elemental = frame.elemental
        sizes = [elemental.base(s) for s in self.outer]
        outer = elemental.math.delinearize(item, sizes)
        if not self.vectors:
            self._line(frame, outer, None, Lanes())
            return

        def vector(j: Index, lanes: Lanes, way: int, carried: Any) -> list[Any]:
            self._line(frame, outer, j, lanes)
            return []

        sweep(elemental, 0, elemental.base(self.shape[-1]), vector, [[]])

    def _line(
        self, frame: Frame, outer: list[Index], last: Index | None, lanes: Lanes
    ) -> None:
        elemental = frame.elemental
        size = elemental.base(self.shape[self.axis])

        def each(j: Any, acc: Any) -> list[Any]:
            if self.reverse:
                end = elemental.math.compute("sub", size, 1)
                j = elemental.math.compute("sub", end, j)
            rest = outer if last is None else [*outer, last]
            at = [*rest[: self.axis], Index(j), *rest[self.axis :]]
            total = self.combined(acc, self.element_at(elemental, at, lanes))
            result = self.narrowed(acc if self.exclusive else total)
            for value, buffer in zip(frame.kernel.outputs, frame.outputs, strict=True):
                elemental.store(result, buffer, at, lanes, value.type.element_type)
            return [total]

        carry(0, size, 1, each, [widen(self.start(), lanes.count)], elemental)

    def start(self) -> Any:
        """0 of a sum, 1 of a product, in the type that is accumulated in."""
        if not self.product:
            return storage.zero(self.wide)
        integer = isinstance(self.wide, ir.IntegerType)
        return arith.constant(self.wide, 1 if integer else 1.0)

    def combined(self, left: Any, right: Any) -> Any:
        """left + right, or left · right."""
        integer = isinstance(self.wide, ir.IntegerType)
        if self.product:
            return (arith.muli if integer else arith.mulf)(left, right)
        return (arith.addi if integer else arith.addf)(left, right)

    def element_at(self, elemental: Elemental, at: list[Index], lanes: Lanes) -> Any:
        """The input there, in the type that is accumulated in."""
        value = elemental.vector_at(self.input, at, lanes)
        if self.wide == self.element:
            return value
        return _cast(arith.extf, value, self.wide)

    def narrowed(self, value: Any) -> Any:
        """A total in the type of the result."""
        if self.wide == self.element:
            return value
        return _cast(arith.truncf, value, self.element)


def _cast(op: Any, value: Any, element: Any) -> Any:
    kind = element
    if isinstance(value.type, ir.VectorType):
        kind = ir.VectorType.get(value.type.shape, element)
    return op(kind, value)

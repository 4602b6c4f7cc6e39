"""Scatters: a copy of the input into which updates are written one after the other.

    scatter      y[…, indices[p], …] ∘= updates[p]     the work items: leading axes
    scatter_nd   y[indices[p]] ∘= updates[p]           one item: any order may matter

An index from −size to size − 1 is valid, as in NumPy; an update whose index is not is
left out, so that no other memory is ever written.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ix.mlir import arith, ir, memref, scf
from ix.passes.schedule import storage
from ix.passes.schedule.body import is_vector
from ix.passes.schedule.elemental import Lanes
from ix.passes.schedule.index import Index
from ix.passes.schedule.kernel import Frame, Kernel, KernelCode, Outputs, build, loop
from ix.passes.schedule.sweep import sweep
from ix.runtime.sizes import Size, product
from ix.target import Target

__all__ = ["Scatter", "apply"]


def apply(kernel: Kernel, target: Target) -> KernelCode | None:
    """Takes ix.scatter and ix.scatter_nd."""
    if kernel.family not in ("scatter", "scatter_nd"):
        return None
    scatter = Scatter(kernel)
    items = product(scatter.outer)
    return build(
        kernel,
        target,
        lambda frame: frame.for_items(lambda item: scatter.emit(frame, item)),
        family="scatter",
        items=items,
        item_ns=kernel.traffic / 4 / max(kernel.most(items), 1),
        lanes=target.lanes(32),
    )


class Scatter:
    """What a kernel scatters.

    input, indices, updates: The tensors; element: the input's; shape: its sizes.
    nd: Whether it is ix.scatter_nd; axis: The one that indices are for, else.
    outer: Sizes of the axes before it: lines that no update crosses.
    """

    def __init__(self, kernel: Kernel) -> None:
        (op,) = [o for o in kernel.ops if o.operation.name.startswith("ix.scatter")]
        attributes = op.operation.attributes
        self.kernel = kernel
        self.input, self.indices, self.updates = op.operation.operands
        self.element = self.input.type.element_type
        self.shape = kernel.shape(self.input)
        self.reduction = ir.StringAttr(attributes["reduction"]).value
        self.nd = op.operation.name == "ix.scatter_nd"
        axis = 0 if self.nd else ir.IntegerAttr(attributes["axis"]).value
        self.axis = axis
        self.outer: list[Size] = [] if self.nd else list(self.shape[:axis])

    def emit(self, frame: Frame, item: Index) -> None:
        elemental = frame.elemental
        sizes = [elemental.base(s) for s in self.outer]
        outer = elemental.math.delinearize(item, sizes)
        self._copy(frame, outer)
        if self.nd:
            self._update_nd(frame)
            return
        bounds = [
            elemental.base(s) for s in self.kernel.shape(self.indices)[: self.axis]
        ]
        self._when_inside(frame, outer, bounds, lambda: self._update(frame, outer))

    def _copy(self, frame: Frame, outer: list[Index]) -> None:
        elemental = frame.elemental
        inner = self.shape[len(outer) :]
        if not inner:
            self.store(frame, [], elemental.value_at(self.input, [], Lanes()), Lanes())
            return

        def rows(middle: list[Index]) -> None:
            def vector(j: Index, lanes: Lanes, way: int, carried: Any) -> list[Any]:
                at = [*outer, *middle, j]
                self.store(frame, at, elemental.value_at(self.input, at, lanes), lanes)
                return []

            sweep(elemental, 0, elemental.base(inner[-1]), vector, [[]])

        _for_each(frame, inner[:-1], rows)

    def _update(self, frame: Frame, outer: list[Index]) -> None:
        elemental = frame.elemental
        inner = self.kernel.shape(self.indices)[len(outer) :]

        def each(at: list[Index]) -> None:
            source = [*outer, *at]
            position = self.position(frame, source, self.axis)
            target = [*source]
            target[self.axis] = position[1]
            self._write(frame, position[0], target, source)

        with elemental.scope():
            _for_each(frame, inner, each)

    def _update_nd(self, frame: Frame) -> None:
        shape = self.kernel.shape(self.indices)
        depth = shape[-1]
        assert isinstance(depth, int)
        slices = self.shape[depth:]

        def point(at: list[Index]) -> None:
            found = [self.position(frame, [*at, Index(k)], k) for k in range(depth)]

            def each(rest: list[Index]) -> None:
                target = [*(index for _, index in found), *rest]
                valid = None
                for inside, _ in found:
                    valid = inside if valid is None else arith.andi(valid, inside)
                self._write(frame, valid, target, [*at, *rest])

            _for_each(frame, slices, each)

        _for_each(frame, shape[:-1], point)

    def position(
        self, frame: Outputs, at: list[Index], axis: int
    ) -> tuple[ir.Value, Index]:
        """Whether the index there is valid, and the position on `axis` it names."""
        elemental = frame.elemental
        raw = elemental.value_at(self.indices, at, Lanes())
        index = arith.index_cast(ir.IndexType.get(), raw)
        size = elemental.math.value(elemental.base(self.shape[axis]))
        zero = elemental.math.value(0)
        negative = arith.cmpi(arith.CmpIPredicate.slt, index, zero)
        index = arith.select(negative, arith.addi(index, size), index)
        inside = arith.cmpi(arith.CmpIPredicate.ult, index, size)
        return inside, Index(index)

    def _write(
        self, frame: Frame, valid: Any, target: list[Index], source: list[Index]
    ) -> None:
        elemental = frame.elemental

        def write() -> None:
            new = elemental.value_at(self.updates, source, Lanes())
            if self.reduction != "none":
                new = self.combined(self._load(frame, target), new)
            self.store(frame, target, new, Lanes())

        if valid is None:
            write()
            return
        branch = scf.IfOp(valid)
        with ir.InsertionPoint(branch.then_block), elemental.scope():
            write()
            scf.YieldOp([])

    def _load(self, frame: Frame, at: list[Index]) -> ir.Value:
        math = frame.elemental.math
        raw = memref.load(frame.outputs[0], [math.value(i.base) for i in at])
        return storage.from_storage(raw, self.element)

    def store(
        self, frame: Outputs, at: list[Index], value: ir.Value, lanes: Lanes
    ) -> None:
        """Writes an element of the result."""
        frame.elemental.store(value, frame.outputs[0], at, lanes, self.element)

    def combined(self, old: ir.Value, new: ir.Value) -> ir.Value:
        """old ∘ new; short floats through f32, rounded after each."""
        kind = self.element
        short = str(kind) in ("f16", "bf16")
        narrow = new.type
        if short:
            wide: Any = ir.F32Type.get()
            if is_vector(new):
                wide = ir.VectorType.get(new.type.shape, wide)
            old, new = arith.extf(wide, old), arith.extf(wide, new)
        integer = isinstance(kind, ir.IntegerType)
        result = _COMBINE[self.reduction][integer](old, new)
        return arith.truncf(narrow, result) if short else result

    def _when_inside(
        self,
        frame: Frame,
        at: list[Index],
        bounds: list[Any],
        body: Callable[[], None],
    ) -> None:
        """Runs `body` where `at` lies within the indices' leading axes."""
        math = frame.elemental.math
        conditions = [
            arith.cmpi(arith.CmpIPredicate.ult, math.value(i.base), math.value(b))
            for i, b, size in zip(at, bounds, self.shape, strict=False)
            if b != size
        ]
        if not conditions:
            body()
            return
        condition = conditions[0]
        for other in conditions[1:]:
            condition = arith.andi(condition, other)
        branch = scf.IfOp(condition)
        with ir.InsertionPoint(branch.then_block), frame.elemental.scope():
            body()
            scf.YieldOp([])


_COMBINE: dict[str, dict[bool, Any]] = {
    "add": {False: arith.addf, True: arith.addi},
    "mul": {False: arith.mulf, True: arith.muli},
    "max": {False: arith.maximumf, True: arith.maxsi},
    "min": {False: arith.minimumf, True: arith.minsi},
}


def _for_each(frame: Frame, sizes: Any, body: Callable[[list[Index]], None]) -> None:
    """Nested loops over all points of a space, in order."""
    elemental = frame.elemental

    def nest(depth: int, at: list[Index]) -> None:
        if depth == len(sizes):
            body(at)
            return
        high = elemental.base(sizes[depth])
        loop(0, high, 1, lambda i: nest(depth + 1, [*at, Index(i)]), elemental)

    nest(0, [])

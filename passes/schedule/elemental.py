"""The value of a tensor at given indices: how any chain of fused ops becomes code.

Every tensor inside a kernel is a function from indices to an element. An argument loads
from its buffer; a slice adds its offset and asks its source; a `linalg.generic` asks
its operands and clones its body. So fusing is calling, movement costs index arithmetic
only, and the same code serves one element or a vector of them.

    elemental.value_at(tensor, indices, lanes)    a scalar, or a vector of `lanes`
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from ix.errors import CompileError
from ix.mlir import arith, defining_op, ir, scf
from ix.passes.schedule import storage
from ix.passes.schedule.body import (
    Clone,
    clone_op,
    index_of,
    inline_body,
    is_vector,
    widen,
)
from ix.passes.schedule.index import Index, IndexMath
from ix.passes.schedule.lane_access import LaneAccess, Lanes
from ix.passes.schedule.symbols import Sizes, reassociation, segments
from ix.runtime.sizes import Size

__all__ = ["Elemental", "Lanes"]

Provider = Callable[[Sequence[Index], Lanes], ir.Value]


class Elemental(LaneAccess):
    """Emits tensor elements at the current insertion point.

    Args:
        sizes: Sizes of the kernel's tensors.
        size_value: Emits a size as a uniform base.
        lanes: Length of vectors.
        aligned: See `LaneAccess`.
    """

    def __init__(
        self,
        sizes: Sizes,
        size_value: Callable[[Size], Any],
        lanes: int,
        aligned: int = 0,
    ) -> None:
        self.sizes = sizes
        self.size_value = size_value
        super().__init__(IndexMath(lanes), aligned)
        self.providers: dict[Any, Provider] = {}
        self._memo: list[dict[Any, ir.Value]] = [{}]

    def scope(self) -> _Scope:
        """A context inside which nothing is remembered from nested blocks outside."""
        return _Scope(self)

    def bind_buffer(self, tensor: Any, buffer: ir.Value) -> None:
        """Elements of `tensor` are read from `buffer`, a memref of its shape."""
        element = tensor.type.element_type
        self.providers[tensor] = lambda indices, lanes: storage.from_storage(
            self.load(buffer, indices, lanes), element
        )

    def value_at(self, tensor: Any, indices: Sequence[Index], lanes: Lanes) -> ir.Value:
        """The element(s) of `tensor` at `indices`; a scalar where all lanes agree."""
        key = (tensor, tuple(indices), lanes)
        for scope in self._memo:
            if key in scope:
                return scope[key]
        provider = self.providers.get(tensor)
        if provider is not None:
            value = provider(indices, lanes)
        else:
            value = self._computed(tensor, indices, lanes)
        self._memo[-1][key] = value
        return value

    def vector_at(
        self, tensor: Any, indices: Sequence[Index], lanes: Lanes
    ) -> ir.Value:
        """As `value_at`, widened to all lanes."""
        return widen(self.value_at(tensor, indices, lanes), lanes.count)

    def base(self, size: Size) -> Any:
        """A size as a uniform base: an int, or a value of type index."""
        return size if isinstance(size, int) else self.size_value(size)

    def outer_scalar(self, value: Any) -> ir.Value:
        """A scalar that a body captures: a constant, or a size."""
        op = defining_op(value)
        if op is not None and op.operation.name == "arith.constant":
            return storage.constant(op)
        if isinstance(value.type, ir.IndexType):
            return self.math.value(self.base(self.sizes.value(value)))
        if op is not None and not any(
            isinstance(v.type, ir.ShapedType) for v in op.operation.operands
        ):
            operands = [self.outer_scalar(v) for v in op.operation.operands]
            return clone_op(op, operands, 1)[0]
        raise CompileError(
            op, "needs scalars that are constants or sizes, but it is not"
        )

    def generic_operands(
        self, op: Any, dims: Sequence[Index], lanes: Lanes
    ) -> list[ir.Value]:
        """The inputs of a linalg.generic at a point of its iteration space."""
        maps = [attribute.value for attribute in op.indexing_maps]
        values = []
        for operand, map_ in zip(op.inputs, maps, strict=False):
            at = [self.math.affine(result, dims) for result in map_.results]
            values.append(self.value_at(operand, at, lanes))
        return values

    def generic_body(
        self,
        op: Any,
        arguments: list[ir.Value],
        dims: Sequence[Index],
        lanes: Lanes,
        clone: Clone = clone_op,
    ) -> list[ir.Value]:
        """What a generic's body yields for these arguments."""

        def index(axis: int) -> ir.Value:
            at = dims[axis]
            if at.uniform or self.math.lanes == 1:
                return self.math.value(at.base)
            return self.math.vector_of(at)

        def extract(tensor: Any, at: list[ir.Value]) -> ir.Value:
            return self.value_at(tensor, [index_of(v) for v in at], lanes)

        return inline_body(
            op.regions[0].blocks[0],
            arguments,
            lanes.count,
            index=index,
            extract=extract,
            outer=self.outer_scalar,
            clone=clone,
        )

    # What follows is one function for each op that a tensor may come from.

    def _computed(
        self, tensor: Any, indices: Sequence[Index], lanes: Lanes
    ) -> ir.Value:
        op = defining_op(tensor)
        rule = None if op is None else self._RULES.get(op.operation.name)
        if rule is None:
            raise CompileError(
                op, "needs a rule that computes single elements, but there is none"
            )
        with op.operation.location:
            return rule(self, op, tensor, indices, lanes)

    def _generic(
        self, op: Any, tensor: Any, indices: Sequence[Index], lanes: Lanes
    ) -> ir.Value:
        """A generic whose iterators are all parallel."""
        number = ir.OpResult(tensor).result_number
        output_map = op.indexing_maps[len(op.inputs) + number].value
        dims: list[Index] = [Index(0)] * output_map.n_dims
        for expr, index in zip(output_map.results, indices, strict=True):
            dims[expr.position] = index
        block = op.regions[0].blocks[0]
        arguments = self.generic_operands(op, dims, lanes)
        for argument in list(block.arguments)[len(arguments) :]:
            # The outs of a parallel generic are not read; a value keeps the map total.
            kind = storage.element_type(argument.type)
            arguments.append(storage.zero(kind))
        return self.generic_body(op, arguments, dims, lanes)[number]

    def _fill(
        self, op: Any, tensor: Any, indices: Sequence[Index], lanes: Lanes
    ) -> ir.Value:
        return self.outer_scalar(op.operation.operands[0])

    def _empty(
        self, op: Any, tensor: Any, indices: Sequence[Index], lanes: Lanes
    ) -> ir.Value:
        """The window of a pool, which bounds loops and is not read."""
        return storage.zero(storage.element_type(tensor.type.element_type))

    def _extract_slice(
        self, op: Any, tensor: Any, indices: Sequence[Index], lanes: Lanes
    ) -> ir.Value:
        source, offsets, _, strides = segments(op)
        dynamic_offsets, dynamic_strides = iter(offsets), iter(strides)
        at = []
        kept = iter(indices)
        dropped = _dropped_axes(op)
        attributes = op.operation.attributes
        statics = zip(
            ir.DenseI64ArrayAttr(attributes["static_offsets"]),
            ir.DenseI64ArrayAttr(attributes["static_strides"]),
            strict=True,
        )
        dynamic = ir.ShapedType.get_dynamic_size()
        for axis, (offset, stride) in enumerate(statics):
            first = self._known(offset, dynamic_offsets, dynamic)
            step = self._known(stride, dynamic_strides, dynamic)
            index = Index(0) if axis in dropped else next(kept)
            known = first if isinstance(first, int) else 1
            moved = self.math.multiply(index, step)
            at.append(self.math.add(moved, Index(first, 0, known)))
        return self.value_at(source[0], at, lanes)

    def _known(self, static: int, dynamic: Any, marker: int) -> Any:
        if static != marker:
            return int(static)
        return self.base(self.sizes.value(next(dynamic)))

    def _cast(
        self, op: Any, tensor: Any, indices: Sequence[Index], lanes: Lanes
    ) -> ir.Value:
        return self.value_at(op.operation.operands[0], indices, lanes)

    def _expand_shape(
        self, op: Any, tensor: Any, indices: Sequence[Index], lanes: Lanes
    ) -> ir.Value:
        shape = self.sizes.shape(tensor)
        at = []
        for group in reassociation(op):
            sizes = [self.base(shape[axis]) for axis in group]
            at.append(self.math.linearize([indices[axis] for axis in group], sizes))
        return self.value_at(op.operation.operands[0], at, lanes)

    def _collapse_shape(
        self, op: Any, tensor: Any, indices: Sequence[Index], lanes: Lanes
    ) -> ir.Value:
        source = op.operation.operands[0]
        shape = self.sizes.shape(source)
        at: list[Index] = [Index(0)] * len(shape)
        for index, group in zip(indices, reassociation(op), strict=True):
            sizes = [self.base(shape[axis]) for axis in group]
            for axis, part in zip(
                group, self.math.delinearize(index, sizes), strict=True
            ):
                at[axis] = part
        return self.value_at(source, at, lanes)

    def _pad(
        self, op: Any, tensor: Any, indices: Sequence[Index], lanes: Lanes
    ) -> ir.Value:
        source, lows, _ = segments(op)
        block = op.regions[0].blocks[0]
        filler = self.outer_scalar(block.operations[0].operation.operands[0])
        static_low = ir.DenseI64ArrayAttr(op.operation.attributes["static_low"])
        dynamic_low = iter(lows)
        dynamic = ir.ShapedType.get_dynamic_size()
        result_shape, shape = self.sizes.shape(tensor), self.sizes.shape(source[0])
        at, conditions = [], []
        for axis, low in enumerate(static_low):
            first = self._known(low, dynamic_low, dynamic)
            if (
                isinstance(first, int)
                and first == 0
                and result_shape[axis] == shape[axis]
            ):
                at.append(indices[axis])
                continue
            inside, moved = self._within(indices[axis], first, self.base(shape[axis]))
            at.append(moved)
            conditions.append(inside)
        return self._guarded(conditions, source[0], at, lanes, filler)

    def _within(self, index: Index, low: Any, size: Any) -> tuple[ir.Value, Index]:
        """Whether index − low is in 0..size, and it clamped into that range."""
        math = self.math
        if index.uniform or math.lanes == 1:
            moved = math.compute("sub", index.base, low)
            inside = arith.cmpi(
                arith.CmpIPredicate.ult, math.value(moved), math.value(size)
            )
            return inside, Index(moved)
        lows = math.vector_of(Index(low))
        limit = math.vector_of(Index(size))
        moved = arith.subi(math.vector_of(index), lows)
        inside = arith.cmpi(arith.CmpIPredicate.ult, moved, limit)
        safe = arith.select(inside, moved, math.vector_of(Index(0)))
        return inside, Index(0, lanes=safe)

    def _guarded(
        self,
        conditions: list[ir.Value],
        source: Any,
        at: list[Index],
        lanes: Lanes,
        filler: ir.Value,
    ) -> ir.Value:
        """The source's element where every condition holds, else the filler."""
        uniform = [c for c in conditions if not is_vector(c)]
        varying = [c for c in conditions if is_vector(c)]

        def inner() -> ir.Value:
            value = self.vector_at(source, at, lanes)
            fill = widen(filler, lanes.count)
            for condition in varying:
                value = arith.select(condition, value, fill)
            return value

        if not uniform:
            return inner()
        condition = uniform[0]
        for other in uniform[1:]:
            condition = arith.andi(condition, other)
        kind = widen(filler, lanes.count).type
        branch = scf.IfOp(condition, [kind], has_else=True)
        with ir.InsertionPoint(branch.then_block), self.scope():
            scf.YieldOp([inner()])
        with ir.InsertionPoint(branch.else_block):
            scf.YieldOp([widen(filler, lanes.count)])
        return branch.results[0]

    def _concat(
        self, op: Any, tensor: Any, indices: Sequence[Index], lanes: Lanes
    ) -> ir.Value:
        axis = ir.IntegerAttr(op.operation.attributes["dim"]).value
        pieces, first = [], 0
        for piece in op.operation.operands:
            size = self.sizes.shape(piece)[axis]
            if size != 0:
                pieces.append((piece, first, self.base(size)))
            first = self.math.compute("add", first, self.base(size))
        element = storage.element_type(tensor.type.element_type)
        kind = element
        if lanes.count > 1:
            kind = ir.VectorType.get([lanes.count], element)
        return self._pieces(pieces, axis, indices, lanes, kind)

    def _pieces(
        self,
        pieces: list[tuple[Any, Any, Any]],
        axis: int,
        indices: Sequence[Index],
        lanes: Lanes,
        kind: ir.Type,
    ) -> ir.Value:
        """The element of the first piece (tensor, start, size) that the index is in."""
        piece, start, size = pieces[0]
        inside, moved = self._within(indices[axis], start, size)
        at = [*indices[:axis], moved, *indices[axis + 1 :]]
        if len(pieces) == 1:
            return self.vector_at(piece, at, lanes)
        rest = pieces[1:]
        if is_vector(inside):
            value = self.vector_at(piece, at, lanes)
            other = self._pieces(rest, axis, indices, lanes, kind)
            return arith.select(inside, value, other)
        branch = scf.IfOp(inside, [kind], has_else=True)
        with ir.InsertionPoint(branch.then_block), self.scope():
            scf.YieldOp([self.vector_at(piece, at, lanes)])
        with ir.InsertionPoint(branch.else_block), self.scope():
            scf.YieldOp([self._pieces(rest, axis, indices, lanes, kind)])
        return branch.results[0]

    _RULES: ClassVar[dict[str, Callable[..., ir.Value]]] = {
        "linalg.generic": _generic,
        "linalg.fill": _fill,
        "tensor.empty": _empty,
        "tensor.extract_slice": _extract_slice,
        "tensor.expand_shape": _expand_shape,
        "tensor.collapse_shape": _collapse_shape,
        "tensor.cast": _cast,
        "tensor.pad": _pad,
        "tensor.concat": _concat,
    }


class _Scope:
    """Remembers values for one block, and forgets them behind it."""

    def __init__(self, elemental: Elemental) -> None:
        self._elemental = elemental

    def __enter__(self) -> None:
        self._elemental._memo.append({})
        self._elemental.math.push()

    def __exit__(self, *_: object) -> None:
        self._elemental._memo.pop()
        self._elemental.math.pop()


def _dropped_axes(op: Any) -> set[int]:
    """Axes of size 1 that a rank-reducing extract_slice drops."""
    static_sizes = list(ir.DenseI64ArrayAttr(op.operation.attributes["static_sizes"]))
    shape = list(op.operation.results[0].type.shape)
    extra = len(static_sizes) - len(shape)
    dropped: set[int] = set()
    position = 0
    for axis, size in enumerate(static_sizes):
        if (
            position < len(shape)
            and size == shape[position]
            and (len(static_sizes) - axis > extra - len(dropped) or size != 1)
        ):
            position += 1
        elif size == 1 and len(dropped) < extra:
            dropped.add(axis)
        else:
            position += 1
    return dropped

"""A kernel's function on tensors, and the loops that a rule makes of it.

A rule is `apply(kernel: Kernel, target: Target) -> KernelCode | None`; None says that
the rule does not apply, and `Kernel.needs` notes why where that is worth telling. It
calls `build`, whose callback emits the work items low ≤ i < high:

    func @body(buffers…, scratch, sizes…, low, high)      buffers: inputs, then outputs

Items are independent: the thread pool hands out ranges of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from ix.mlir import DYNAMIC, arith, defining_op, func, ir, memref, scf
from ix.passes.schedule import storage
from ix.passes.schedule.elemental import Elemental
from ix.passes.schedule.index import Index
from ix.passes.schedule.structure import kind_of
from ix.passes.schedule.symbols import Sizes
from ix.runtime.sizes import Size, bounds, combine, dim, product
from ix.target import Target

__all__ = [
    "Frame",
    "Kernel",
    "KernelCode",
    "Outputs",
    "Packing",
    "SizeEmitter",
    "argument_type",
    "buffer_of",
    "build",
    "carry",
    "loop",
]


class Kernel:
    """Reads the function of one kernel.

    function: The func.func on tensors.
    inputs: Its tensor arguments.
    outputs: The values that it returns.
    ops: Its ops, in order, the return left out.
    ranges: Bounds of its size arguments.
    rule: Name of the rule that is asked.
    declined: (rule, code) of each reason why a rule, or a way of one, was not taken.
    """

    def __init__(self, function: Any) -> None:
        self.function = function
        block = function.entry_block
        arguments = list(block.arguments)
        self.inputs = [a for a in arguments if isinstance(a.type, ir.RankedTensorType)]
        self.ops = [op.operation.opview for op in list(block.operations)[:-1]]
        terminator = block.operations[len(block.operations) - 1]
        self.outputs = list(terminator.operation.operands)
        attributes = function.operation.attributes
        self.family = ir.StringAttr(attributes["ix.family"]).value
        self.ranges: list[tuple[int, int]] = []
        entries: list[list[Size]] = []
        annotations = self._annotations(len(arguments))
        for argument, annotation in zip(arguments, annotations, strict=True):
            if isinstance(argument.type, ir.RankedTensorType):
                sizes = [ir.IntegerAttr(s).value for s in annotation["ix.sizes"]]
                entries.append([s if s >= 0 else dim(-1 - s) for s in sizes])
            else:
                entries.append([dim(len(self.ranges))])
                low, high = (ir.IntegerAttr(s).value for s in annotation["ix.range"])
                self.ranges.append((low, high))
        self.sizes = Sizes(entries)
        self.constants = ["ix.constant" in a for a in annotations]
        self.rule = ""
        self.declined: list[tuple[str, str]] = []

    def _annotations(self, count: int) -> list[dict[str, Any]]:
        attributes = self.function.operation.attributes
        if count == 0:
            return []
        entries = ir.ArrayAttr(attributes["arg_attrs"])
        result = []
        for entry in entries:
            named = ir.DictAttr(entry)
            result.append(
                {
                    named[i].name: ir.ArrayAttr(named[i].attr)
                    if isinstance(named[i].attr, ir.ArrayAttr)
                    else []
                    for i in range(len(named))
                }
            )
        return result

    def needs(self, condition: bool, code: str, way: str = "") -> bool:
        """Whether a condition holds without which a rule does not take the kernel.

        Args:
            code: What is noted where it does not; a key of `reasons.DECLINED`.
            way: What else the condition is for than the rule that is asked.
        """
        if not condition:
            self.decline(code, way)
        return condition

    def decline(self, code: str, way: str = "") -> None:
        """Notes what `needs` does where its condition does not hold."""
        self.declined.append((way or self.rule, code))

    def shape(self, value: Any) -> tuple[Size, ...]:
        """The sizes of a tensor's axes."""
        return self.sizes.shape(value)

    def most(self, size: Size) -> int:
        """The upper bound of a size."""
        return bounds(size, self.ranges)[1]

    def memory(self, value: Any) -> Size:
        """Bytes of a tensor in memory."""
        element = storage.element_bytes(value.type.element_type)
        return combine("mul", product(self.shape(value)), element)

    def bytes_of(self, value: Any) -> int:
        """Bytes of a tensor in memory at the upper bounds of its sizes."""
        return self.most(self.memory(value))

    @property
    def traffic(self) -> int:
        """Bytes of all inputs and outputs: what one launch moves at least."""
        return sum(self.bytes_of(v) for v in [*self.inputs, *self.outputs])

    def is_constant(self, number: int) -> bool:
        """Whether every launch reads a constant as input `number`."""
        return self.constants[number]

    def producer(self, value: Any) -> Any | None:
        """The op inside the kernel that computes `value`, or None."""
        return defining_op(value)

    @property
    def location(self) -> Any:
        """Where code comes from that no other op claims: the op it is built around."""
        for op in self.ops:
            if kind_of(op) in ("special", "contraction"):
                return op.operation.location
        return self.location_of(self.outputs[0])

    def location_of(self, value: Any) -> Any:
        """Where the op stands that computes `value`; the function, for an argument."""
        op = defining_op(value)
        return (self.function if op is None else op).operation.location


@dataclass(frozen=True)
class Packing:
    """How a kernel wants a constant input laid out.

    key: Names the layout, for the plan and for sharing.
    apply: From the row-major array to the packed one.
    """

    key: str
    apply: Callable[[Any], Any]


@dataclass(frozen=True)
class KernelCode:
    """The loops of one kernel.

    module: Holds func @body.
    family: The rule's name.
    items: How many independent pieces the work has.
    item_ns: A guess of the time of one item on one thread, in nanoseconds.
    setup_ns: A guess of the time that each range of items takes besides.
    scratch_bytes: Private memory of each thread.
    level: LLVM's optimisation level.
    flops: Arithmetic of one launch at the upper bounds.
    packings: Layouts of constant inputs, by their number.
    in_place: The one output may lie where an input of its size lay.
    """

    module: Any
    family: str
    items: Size
    item_ns: float
    scratch_bytes: int
    level: int
    flops: int
    packings: dict[int, Packing]
    in_place: bool = False
    setup_ns: float = 0


class Outputs(Protocol):
    """What a kernel's outputs are stored with, on a CPU or a GPU.

    outputs: Buffers, memrefs of the tensors' shapes in storage types.
    elemental: Computes elements of the kernel's tensors.
    """

    kernel: Kernel
    outputs: list[Any]
    elemental: Elemental


@dataclass
class Frame:
    """What a rule's callback emits with, inside @body.

    inputs, outputs: Buffers, memrefs of the tensors' shapes in storage types.
    scratch: memref<scratch_bytes x i8> of this thread.
    low, high: The range of items.
    elemental: Computes elements of the kernel's tensors; inputs are bound.
    """

    kernel: Kernel
    inputs: list[Any]
    outputs: list[Any]
    scratch: Any
    low: Any
    high: Any
    elemental: Elemental

    @property
    def math(self) -> Any:
        """Index arithmetic."""
        return self.elemental.math

    def for_items(self, body: Callable[[Index], None]) -> None:
        """Loops over the range of items."""
        loop(self.low, self.high, 1, lambda i: body(Index(i)), self.elemental)


def loop(
    low: Any,
    high: Any,
    step: int,
    body: Callable[[Any], None],
    elemental: Elemental | None = None,
) -> None:
    """scf.for without carried values; nothing computed inside is remembered outside."""

    def each(i: Any) -> Sequence[Any]:
        body(i)
        return []

    carry(low, high, step, each, [], elemental)


def carry(
    low: Any,
    high: Any,
    step: int,
    body: Callable[..., Sequence[Any]],
    initial: Sequence[Any],
    elemental: Elemental | None = None,
) -> list[Any]:
    """scf.for with carried values; a loop of one known turn is no loop."""
    if isinstance(low, int) and isinstance(high, int):
        if high <= low:
            return list(initial)
        if high - low <= step:
            return list(body(low, *initial))
    index = ir.IndexType.get()

    def as_value(number: Any) -> Any:
        return arith.constant(index, number) if isinstance(number, int) else number

    op = scf.ForOp(as_value(low), as_value(high), as_value(step), list(initial))
    with ir.InsertionPoint(op.body):
        if elemental is None:
            scf.YieldOp(list(body(op.induction_variable, *op.inner_iter_args)))
        else:
            with elemental.scope():
                scf.YieldOp(list(body(op.induction_variable, *op.inner_iter_args)))
    return list(op.results)


def build(
    kernel: Kernel,
    target: Target,
    emit: Callable[[Frame], None],
    *,
    family: str,
    items: Size,
    item_ns: float,
    lanes: int,
    scratch_bytes: int = 0,
    level: int = 3,
    flops: int = 0,
    packings: dict[int, Packing] | None = None,
    packed_types: dict[int, Any] | None = None,
    in_place: bool = False,
    setup_ns: float = 0,
) -> KernelCode:
    """Builds @body around what `emit` emits.

    Args:
        packings: Inputs that are constants and packed, by their number.
        packed_types: Their memref types; such an input is not bound in `elemental`.
    """
    module = ir.Module.create(kernel.function.operation.location)
    index = ir.IndexType.get()
    tensors = [*kernel.inputs, *kernel.outputs]
    byte = ir.IntegerType.get_signless(8)
    packed = packed_types or {}
    types = [packed.get(n) or argument_type(v, kernel) for n, v in enumerate(tensors)]
    types.append(ir.MemRefType.get([max(scratch_bytes, 1)], byte))
    types += [index] * (len(kernel.ranges) + 2)
    with ir.InsertionPoint(module.body), kernel.location:
        body = func.FuncOp("body", (types, []))
        _set_noalias(body, types)
        with ir.InsertionPoint(body.add_entry_block()):
            arguments = list(body.arguments)
            first = len(tensors) + 1
            sizes = arguments[first : first + len(kernel.ranges)]
            emitter = SizeEmitter(sizes)
            elemental = Elemental(kernel.sizes, emitter, lanes)
            emitter.math = elemental.math
            buffers = [
                argument
                if n in packed
                else buffer_of(argument, value, kernel, elemental)
                for n, (argument, value) in enumerate(
                    zip(arguments, tensors, strict=False)
                )
            ]
            count = len(kernel.inputs)
            for n, value in enumerate(kernel.inputs):
                if n not in packed:
                    elemental.bind_buffer(value, buffers[n])
            emit(
                Frame(
                    kernel,
                    buffers[:count],
                    buffers[count:],
                    arguments[len(tensors)],
                    arguments[-2],
                    arguments[-1],
                    elemental,
                )
            )
            func.ReturnOp([])
    return KernelCode(
        module,
        family,
        items,
        item_ns,
        scratch_bytes,
        level,
        flops,
        packings or {},
        in_place,
        setup_ns,
    )


class SizeEmitter:
    """Emits a size as index arithmetic on the kernel's size arguments."""

    math: Any

    def __init__(self, arguments: list[Any]) -> None:
        self.arguments = arguments

    def __call__(self, size: Size) -> Any:
        if isinstance(size, int):
            return size
        if size[0] == "dim":
            return self.arguments[size[1]]
        left, right = self(size[1]), self(size[2])
        if size[0] in ("div", "mod"):
            # Numerators of sizes may be negative; those of indices never are.
            quotient = arith.floordivsi(self.math.value(left), self.math.value(right))
            if size[0] == "div":
                return quotient
            whole = self.math.compute("mul", quotient, right)
            return self.math.compute("sub", left, whole)
        return self.math.compute(size[0], left, right)


def argument_type(value: Any, kernel: Kernel) -> Any:
    """A static memref, which bare pointers need; any other is made of it inside."""
    element = storage.storage_type(value.type.element_type)
    shape = list(value.type.shape)
    return ir.MemRefType.get(shape if _is_plain(shape) else [1], element)


def _is_plain(shape: list[int]) -> bool:
    """Whether a bare pointer stands for a memref of this shape."""
    return DYNAMIC not in shape and 0 not in shape


def buffer_of(argument: Any, value: Any, kernel: Kernel, elemental: Elemental) -> Any:
    shape = list(value.type.shape)
    if _is_plain(shape):
        return argument
    sizes = [elemental.base(s) for s in kernel.shape(value)]
    strides: list[Any] = [1]
    for size in reversed(sizes[1:]):
        strides.insert(0, elemental.math.compute("mul", strides[0], size))
    static_strides = [s if isinstance(s, int) else DYNAMIC for s in strides]
    static_sizes = [s if isinstance(s, int) else DYNAMIC for s in sizes]
    layout = ir.StridedLayoutAttr.get(0, static_strides)
    kind = ir.MemRefType.get(static_sizes, argument.type.element_type, layout)
    return memref.ReinterpretCastOp(
        kind,
        argument,
        [],
        [s for s in sizes if not isinstance(s, int)],
        [s for s in strides if not isinstance(s, int)],
        [0],
        static_sizes,
        static_strides,
    ).result


def _set_noalias(body: Any, types: list[Any]) -> None:
    """Buffers of one launch never overlap, but inputs that are the same memory."""
    unit = ir.UnitAttr.get()
    body.arg_attrs = [
        ir.DictAttr.get(
            {"llvm.noalias": unit} if isinstance(kind, ir.MemRefType) else {}
        )
        for kind in types
    ]

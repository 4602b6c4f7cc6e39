"""Products of bytes, two at a time: a[k] · b[k] + a[k+1] · b[k+1] in one instruction.

Bytes of either sign fit 16 bits, and two of them one lane of an i32 accumulator:

    lane = (x[k] & 0xffff) | (x[k+1] << 16)        both sides
    acc += pmaddwd(lane of a, lane of b)           one vpdpwssd, where there is VNNI

Nothing saturates: |a · b| ≤ 255², and i32 wraps as it does in the product itself.
Source: Intel Intrinsics Guide, PMADDWD and VPDPWSSD.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ix.mlir import arith, ir, vector
from ix.passes.schedule.body import clone_op, widen
from ix.passes.schedule.elemental import Elemental, Lanes
from ix.passes.schedule.index import Index
from ix.passes.schedule.structure import body_ops
from ix.target import Target

__all__ = ["BytePairs", "byte_pairs"]

_MULTIPLY_ADD = {
    4: "llvm.x86.sse2.pmadd.wd",
    8: "llvm.x86.avx2.pmadd.wd",
    16: "llvm.x86.avx512.pmaddw.d.512",
}
"""By the lanes of the accumulator."""


@dataclass(frozen=True)
class BytePairs:
    """How a product of two tensors of bytes widens each of them.

    op: The generic.
    extensions: The op of its body that widens each input to i32.
    """

    op: Any
    extensions: tuple[Any, Any]

    def accumulate(
        self,
        elemental: Elemental,
        pair: Sequence[Sequence[Index]],
        lanes: Lanes,
        running: Any,
    ) -> Any:
        """`running` plus the products at two points of the iteration space.

        Lanes beyond the edge may hold anything.
        """
        both = [self._words(elemental, dims, lanes) for dims in pair]
        words = ir.IntegerType.get_signless(16)
        kind = ir.VectorType.get([2 * lanes.count], words)
        sides = [
            vector.bitcast(kind, widen(_joined(first, second), lanes.count))
            for first, second in zip(*both, strict=True)
        ]
        products = ir.Operation.create(
            "llvm.call_intrinsic",
            results=[running.type],
            operands=sides,
            attributes={
                "intrin": ir.StringAttr.get(_MULTIPLY_ADD[lanes.count]),
                "operandSegmentSizes": ir.DenseI32ArrayAttr.get([len(sides), 0]),
                "op_bundle_sizes": ir.DenseI32ArrayAttr.get([]),
            },
        ).results[0]
        return arith.addi(running, products)

    def _words(
        self, elemental: Elemental, dims: Sequence[Index], lanes: Lanes
    ) -> list[Any]:
        """Both inputs at a point, as i32 of 16 bits; scalars where all lanes agree."""
        found = []
        values = elemental.generic_operands(self.op, dims, lanes)
        for value, extension in zip(values, self.extensions, strict=True):
            count = value.type.shape[0] if isinstance(value.type, ir.VectorType) else 1
            found += clone_op(extension, [value], count)
        return found


def _joined(first: Any, second: Any) -> Any:
    """The low 16 bits of both in one i32."""
    element = ir.IntegerType.get_signless(32)
    count = first.type.shape[0] if isinstance(first.type, ir.VectorType) else 1
    second = widen(second, count)

    def number(value: int) -> Any:
        return widen(arith.constant(element, value), count)

    low = arith.andi(first, number(0xFFFF))
    return arith.ori(low, arith.shli(second, number(16)))


def byte_pairs(op: Any, target: Target) -> BytePairs | None:
    """A product of two tensors of bytes into i32, on a processor that has pairs."""
    if not target.triple.startswith("x86_64") or target.lanes(32) not in _MULTIPLY_ADD:
        return None
    inputs = list(op.inputs)
    if len(inputs) != 2 or str(op.operation.results[0].type.element_type) != "i32":
        return None
    if any(str(each.type.element_type) not in ("i8", "i4") for each in inputs):
        return None
    arguments = list(op.operation.regions[0].blocks[0].arguments)
    extensions = {
        arguments.index(inner.operation.operands[0]): inner
        for inner in body_ops(op)
        if inner.operation.name in ("arith.extsi", "arith.extui")
    }
    return (
        BytePairs(op, (extensions[0], extensions[1])) if len(extensions) == 2 else None
    )

"""The matrix tiles of AMX: eight registers of 16 rows of 64 bytes.

Source: Intel Architecture Instruction Set Extensions Programming Reference, chapter 3,
"Intel AMX Instruction Set Reference"; LLVM, IntrinsicsX86.td.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ix.mlir import arith, ir, llvm, memref, vector
from ix.passes.schedule.microkernel.builder import Builder, Index, Vector

__all__ = [
    "TILE_BYTES",
    "TILE_DEPTH",
    "TILE_ROWS",
    "Tiles",
    "from_bfloat16",
    "to_bfloat16",
]

TILE_ROWS = 16
"""Rows of a tile, and float32 elements of one row."""

TILE_DEPTH = 32
"""bfloat16 elements of a row: what one instruction sums up, two at a time."""

ROW_BYTES = 64
TILE_BYTES = TILE_ROWS * ROW_BYTES
REGISTERS = 8


class Tiles:
    """Emits tile instructions; all tiles are whole, 16 rows of 64 bytes."""

    def __init__(self, b: Builder) -> None:
        self.b = b
        self.byte = ir.IntegerType.get_signless(8)
        self.word = ir.IntegerType.get_signless(64)
        self.pointer = ir.Type.parse("!llvm.ptr")

    def configure(self) -> None:
        """Turns the tiles on, for this thread; `release` turns them off."""
        # Byte 0: palette 1; bytes 16 …: 8 · bytes of a row; bytes 48 …: 8 · rows.
        words = [1, 0]
        words += [ROW_BYTES * 0x0001_0001_0001_0001] * 2 + [0, 0]
        words += [TILE_ROWS * 0x0101_0101_0101_0101, 0]
        kind = ir.VectorType.get([len(words)], self.word)
        value = ir.DenseElementsAttr.get(
            [ir.IntegerAttr.get(self.word, word) for word in words], kind
        )
        buffer = self.b.stack_buffer(len(words), element=self.word)
        vector.store(arith.constant(kind, value), buffer, [self.b.index(0)])
        _call("llvm.x86.ldtilecfg", [self.at(buffer, 0)])

    def release(self) -> None:
        """Turns the tiles off: a core saves power, a context switch time."""
        _call("llvm.x86.tilerelease", [])

    def base(self, buffer: ir.Value) -> ir.Value:
        """The address of a buffer's first byte, as an index."""
        return memref.extract_aligned_pointer_as_index(buffer)

    def at(self, buffer: ir.Value, offset: Index) -> ir.Value:
        """The pointer `offset` bytes behind a buffer's first one."""
        return self.pointer_to(self.b.add(self.base(buffer), offset))

    def pointer_to(self, address: ir.Value) -> ir.Value:
        return llvm.inttoptr(self.pointer, arith.index_cast(self.word, address))

    def zero(self, tile: int) -> None:
        _call("llvm.x86.tilezero", [self._tile(tile)])

    def load(self, tile: int, address: ir.Value, stride: int = ROW_BYTES) -> None:
        """Reads a tile whose rows lie `stride` bytes apart."""
        operands = [self._tile(tile), self.pointer_to(address), self._stride(stride)]
        _call("llvm.x86.tileloadd64", operands)

    def store(self, tile: int, address: ir.Value, stride: int = ROW_BYTES) -> None:
        """Writes a tile whose rows lie `stride` bytes apart."""
        operands = [self._tile(tile), self.pointer_to(address), self._stride(stride)]
        _call("llvm.x86.tilestored64", operands)

    def multiply_add(self, into: int, left: int, right: int) -> None:
        """into[i, j] += Σ over q of left[i, q] · right[q, j], bfloat16 to float32.

        Row r of `right` holds the pairs right[2r, j], right[2r + 1, j].
        """
        operands = [self._tile(into), self._tile(left), self._tile(right)]
        _call("llvm.x86.tdpbf16ps", operands)

    def _tile(self, number: int) -> ir.Value:
        assert 0 <= number < REGISTERS
        return llvm.mlir_constant(ir.IntegerAttr.get(self.byte, number))

    def _stride(self, stride: int) -> ir.Value:
        return llvm.mlir_constant(ir.IntegerAttr.get(self.word, stride))


def to_bfloat16(low: Vector, high: Vector) -> Vector:
    """Two vector<16xf32>, rounded to nearest even, as one vector<32xbf16>."""
    kind = ir.VectorType.get([2 * TILE_ROWS], ir.BF16Type.get())
    name = "llvm.x86.avx512bf16.cvtne2ps2bf16.512"
    return _call(name, [high, low], kind)


def from_bfloat16(value: Vector) -> tuple[Vector, Vector]:
    """The halves of a vector<32xbf16> as two vector<16xf32>."""
    short, word = (ir.IntegerType.get_signless(bits) for bits in (16, 32))
    bits = vector.bitcast(ir.VectorType.get([2 * TILE_ROWS], short), value)
    wide = ir.VectorType.get([TILE_ROWS], word)
    shift = arith.constant(
        wide, ir.DenseElementsAttr.get_splat(wide, ir.IntegerAttr.get(word, 16))
    )
    halves = []
    for first in (0, TILE_ROWS):
        lanes = list(range(first, first + TILE_ROWS))
        half = arith.extui(wide, vector.shuffle(bits, bits, lanes))
        floats = ir.VectorType.get([TILE_ROWS], ir.F32Type.get())
        halves.append(vector.bitcast(floats, arith.shli(half, shift)))
    return halves[0], halves[1]


def _call(
    name: str, operands: Sequence[ir.Value], result: ir.Type | None = None
) -> Any:
    """Calls an intrinsic function of LLVM; its result, if it has one."""
    call = ir.Operation.create(
        "llvm.call_intrinsic",
        results=[] if result is None else [result],
        operands=list(operands),
        attributes={
            "intrin": ir.StringAttr.get(name),
            "op_bundle_sizes": ir.DenseI32ArrayAttr.get([]),
            "operandSegmentSizes": ir.DenseI32ArrayAttr.get([len(operands), 0]),
        },
    )
    return None if result is None else call.results[0]

"""Sorts instructions into classes, and says how many FLOPs one thread does in each."""

from __future__ import annotations

from ix.emulator.syntax import Instruction

__all__ = ["CLASSES", "class_of", "flops_of"]

_CLASSES = {
    "tensor": "mma wgmma tcgen05",
    "memory": "ld ldu st ldmatrix stmatrix cp prefetch prefetchu applypriority discard "
    "red atom createpolicy",
    "barrier": "bar barrier mbarrier fence membar griddepcontrol nanosleep",
    "warp": "shfl vote match redux activemask elect movmatrix",
    "control": "bra brx call ret exit trap brkpt setmaxnreg",
    "move": "mov selp cvta isspacep mapa getctarank",
    "convert": "cvt",
    "compare": "setp set testp",
    "special_function": "ex2 lg2 sin cos tanh rcp sqrt rsqrt",
}
CLASSES = ("float", "integer", *_CLASSES)
_CLASS_OF = {op: name for name, ops in _CLASSES.items() for op in ops.split()}
_FLOPS = {"add": 1, "sub": 1, "mul": 1, "fma": 2, "mad": 2, "div": 1, "rcp": 1} | {
    name: 1 for name in _CLASSES["special_function"].split()
}
_FLOATS = {"f16": 1, "bf16": 1, "f32": 1, "f64": 1, "f16x2": 2, "bf16x2": 2, "f32x2": 2}


def class_of(instruction: Instruction) -> str:
    """The class of an instruction, for the instruction mix."""
    found = _CLASS_OF.get(instruction.opcode)
    if found is not None:
        return found
    return "float" if instruction.type in _FLOATS else "integer"


def flops_of(instruction: Instruction) -> int:
    """Floating-point operations of one thread; a multiply-add counts two."""
    return _FLOPS.get(instruction.opcode, 0) * _FLOATS.get(instruction.type, 0)

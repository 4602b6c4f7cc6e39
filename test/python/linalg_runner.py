"""Runs linalg on tensors through upstream's own lowering: a second opinion on ix's.

Nothing of ix but the linalg stage takes part: one-shot bufferization, linalg to loops,
loops to LLVM, MLIR's ExecutionEngine. Slow code, used for correctness alone.
"""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
from torch_mlir.execution_engine import ExecutionEngine  # noqa: TID251 (no part of ix)

from ix.dialects.ix.shapes import NUMPY_DTYPES, numpy_dtype
from ix.mlir import PassManager, arith, func, ir, ops_in
from ix.passes.linalg.lower_to_linalg import lower_to_linalg

PIPELINE = """builtin.module(
  canonicalize, cse,
  one-shot-bufferize{bufferize-function-boundaries
    function-boundary-type-conversion=identity-layout-map},
  func.func(convert-linalg-to-loops),
  expand-strided-metadata, lower-affine, convert-scf-to-cf,
  func.func(llvm-request-c-wrappers),
  arith-expand{include-bf16=true},
  math-expand-ops{ops=rsqrt}, convert-math-to-libm, convert-math-to-llvm,
  convert-cf-to-llvm, convert-arith-to-llvm, convert-index-to-llvm,
  finalize-memref-to-llvm, convert-func-to-llvm, reconcile-unrealized-casts)"""


def descriptor(rank: int) -> type[ctypes.Structure]:
    """The C layout of a memref of the given rank."""
    fields: list[tuple[str, Any]] = [
        ("allocated", ctypes.c_void_p),
        ("aligned", ctypes.c_void_p),
        ("offset", ctypes.c_int64),
    ]
    if rank:
        fields += [
            ("sizes", ctypes.c_int64 * rank),
            ("strides", ctypes.c_int64 * rank),
        ]
    return type(f"Memref{rank}", (ctypes.Structure,), {"_fields_": fields})


def run(module: Any, inputs: list[np.ndarray]) -> list[np.ndarray]:
    """Lowers @main of a module of ix ops (in place), compiles and calls it.

    Args:
        module: Holds @main; kept ops (attention, scatter …) are not supported.
        inputs: One array for each argument.

    Returns:
        One array for each result, of the dtype that the signature of ix declares.
    """
    main = next(op for op in module.body.operations if op.name.value == "main")
    types = list(main.type.results)
    with module.context:
        lower_to_linalg.run(module)
        _call_for_float8(module)
        PassManager.parse(PIPELINE).run(module.operation)
        engine = ExecutionEngine(module, opt_level=0)
    float8 = {f"_mlir_ciface_{name}": call for name, call in _FLOAT8.items()}
    for name, callback in {"memrefCopy": _memref_copy, **float8}.items():
        engine.raw_register_runtime(name, ctypes.cast(callback, ctypes.c_void_p))
    layout = type(
        "Results",
        (ctypes.Structure,),
        {"_fields_": [(f"r{i}", _field(type_)) for i, type_ in enumerate(types)]},
    )
    results = layout()
    kept = [np.ascontiguousarray(array) for array in inputs]
    arguments = [_as_memref(array) for array in kept]
    pointers = [ctypes.pointer(ctypes.pointer(each)) for each in (results, *arguments)]
    engine.invoke("main", *pointers)
    return [_read(getattr(results, f"r{i}"), t) for i, t in enumerate(types)]


def _call_for_float8(module: Any) -> None:
    """Has ml_dtypes convert f8, for which upstream has no lowering."""
    i8, f32 = ir.IntegerType.get_signless(8), ir.F32Type.get()
    for op in ops_in(module, (arith.ExtFOp, arith.TruncFOp)):
        source, target = op.operands[0].type, op.result.type
        narrow = target if isinstance(op, arith.TruncFOp) else source
        if narrow.width != 8:
            continue
        with ir.InsertionPoint(op), op.location:
            if isinstance(op, arith.ExtFOp):
                octet = arith.BitcastOp(i8, op.operands[0]).result
                new = func.CallOp([f32], f"extend_{source}", [octet]).results[0]
            else:
                octet = func.CallOp([i8], f"round_{target}", [op.operands[0]])
                new = arith.BitcastOp(target, octet.results[0]).result
        op.result.replace_all_uses_with(new)
        op.operation.erase()
    with ir.InsertionPoint(module.body), ir.Location.unknown():
        for name in _FLOAT8:
            types = ([i8], [f32]) if name.startswith("extend") else ([f32], [i8])
            func.FuncOp(name, ir.FunctionType.get(*types), visibility="private")


def _rounder(name: str) -> Any:
    dtype = NUMPY_DTYPES[name]

    def convert(value: float) -> int:
        with np.errstate(all="ignore"):
            return int(np.float32(value).astype(dtype).view(np.int8))

    return ctypes.CFUNCTYPE(ctypes.c_int8, ctypes.c_float)(convert)


def _extender(name: str) -> Any:
    table = np.arange(256, dtype=np.uint8).view(NUMPY_DTYPES[name]).astype(np.float32)
    return ctypes.CFUNCTYPE(ctypes.c_float, ctypes.c_uint8)(lambda i: float(table[i]))


_FLOAT8 = {
    f"{verb}_{name}": make(name)
    for name in ("f8E4M3FN", "f8E5M2")
    for verb, make in (("extend", _extender), ("round", _rounder))
}


class _Unranked(ctypes.Structure):
    """A memref whose rank is known at run time."""

    _fields_ = (("rank", ctypes.c_int64), ("descriptor", ctypes.c_void_p))


@ctypes.CFUNCTYPE(
    None, ctypes.c_int64, ctypes.POINTER(_Unranked), ctypes.POINTER(_Unranked)
)
def _memref_copy(element_bytes: int, source: Any, target: Any) -> None:
    """The runtime function that copies between strided memrefs."""
    views = []
    for unranked in (source.contents, target.contents):
        memref = descriptor(unranked.rank).from_address(unranked.descriptor)
        shape = tuple(memref.sizes) if unranked.rank else ()
        if 0 in shape:
            return
        strides = [s * element_bytes for s in memref.strides] if shape else []
        reach = sum((n - 1) * s for n, s in zip(shape, strides, strict=True))
        first = memref.aligned + memref.offset * element_bytes
        octets = (ctypes.c_char * (reach + element_bytes)).from_address(first)
        flat = np.frombuffer(octets, f"V{element_bytes}", count=1)
        views.append(np.lib.stride_tricks.as_strided(flat, shape, strides))
    views[1][...] = views[0]


def _field(type_: Any) -> Any:
    if isinstance(type_, ir.IndexType):
        return ctypes.c_int64
    return descriptor(type_.rank)


def _as_memref(array: np.ndarray) -> ctypes.Structure:
    memref = descriptor(array.ndim)()
    memref.allocated = memref.aligned = array.ctypes.data
    if array.ndim:
        memref.sizes[:] = array.shape
        memref.strides[:] = _element_strides(array.shape)
    return memref


def _element_strides(shape: tuple[int, ...]) -> list[int]:
    strides, step = [], 1
    for size in reversed(shape):
        strides.insert(0, step)
        step *= max(size, 1)
    return strides


def _read(memref: Any, type_: Any) -> np.ndarray:
    """A copy of a result; its memory is never freed."""
    if isinstance(type_, ir.IndexType):
        return np.int64(memref)
    dtype = numpy_dtype(type_.element_type)
    shape = tuple(memref.sizes) if type_.rank else ()
    if 0 in shape:
        return np.zeros(shape, dtype)
    strides = tuple(memref.strides) if type_.rank else ()
    reach = memref.offset + sum(
        (size - 1) * stride for size, stride in zip(shape, strides, strict=True)
    )
    count = (reach + 1) * dtype.itemsize
    octets = np.frombuffer(ctypes.string_at(memref.aligned, count), np.uint8).copy()
    # as_strided knows dtypes by their text, which ml_dtypes do not have.
    flat = octets.view(f"V{dtype.itemsize}")[memref.offset :]
    step = [stride * dtype.itemsize for stride in strides]
    view = np.lib.stride_tricks.as_strided(flat, shape, step)
    return np.ascontiguousarray(view).reshape(shape).view(dtype)

"""Builds @main of ix ops, and compares its lowering with the NumPy reference."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import linalg_runner
import ml_dtypes
import numpy as np

from ix.dialects import context
from ix.dialects.ix.reference import evaluate
from ix.dialects.ix.shapes import mlir_type
from ix.mlir import DYNAMIC, func, ir

FLOATS = ("f64", "f32", "f16", "bf16", "f8E4M3FN", "f8E5M2")
INTEGERS = ("i64", "i32", "i16", "i8", "i4", "ui8")


def module_of(types: Sequence[str], body: Callable[..., Any]) -> Any:
    """A module whose @main has arguments of `types` and returns what `body` builds.

    Enter `context()` and a location before.
    """
    module = ir.Module.create()
    inputs = [ir.Type.parse(text) for text in types]
    with ir.InsertionPoint(module.body):
        function = func.FuncOp("main", ir.FunctionType.get(inputs, []))
        with ir.InsertionPoint(function.add_entry_block()):
            results = list(body(*function.arguments))
            func.ReturnOp(results)
    type_ = ir.FunctionType.get(inputs, [result.type for result in results])
    function.attributes["function_type"] = ir.TypeAttr.get(type_)
    module.operation.verify()
    return module


def type_text(array: np.ndarray, dynamic: bool | Sequence[int] = False) -> str:
    """The tensor type of an array; `dynamic` makes all axes, or those named, `?`."""
    axes = range(array.ndim) if dynamic is True else dynamic or ()
    shape = [DYNAMIC if axis in axes else n for axis, n in enumerate(array.shape)]
    return str(ir.RankedTensorType.get(shape, mlir_type(array.dtype)))


def check(
    body: Callable[..., Any],
    inputs: Sequence[np.ndarray],
    *,
    ulps: float = 0,
    dynamic: bool | Sequence[int] = False,
) -> None:
    """Asserts that lowered code computes what the reference does.

    Args:
        body: Builds ix ops on the arguments; returns the results.
        inputs: Arrays, whose types become those of the arguments.
        ulps: How many units in the last place floats may differ.
        dynamic: Which axes of the arguments are `?`.
    """
    with context(), ir.Location.unknown():
        module = module_of([type_text(array, dynamic) for array in inputs], body)
        text = str(module)
        expected = evaluate(module, inputs)
        actual = linalg_runner.run(module, list(inputs))
    for place, (want, got) in enumerate(zip(expected, actual, strict=True)):
        assert_near(got, want, ulps, f"result {place} of\n{text}")


def assert_near(got: np.ndarray, want: np.ndarray, ulps: float, what: str) -> None:
    """Asserts equal shape and dtype, and values within `ulps`; NaN equals NaN."""
    got, want = np.asarray(got), np.asarray(want)
    assert got.shape == want.shape and got.dtype == want.dtype, what
    if not is_float(want.dtype):
        np.testing.assert_array_equal(
            got.astype(np.int64), want.astype(np.int64), err_msg=what
        )
        return
    info = ml_dtypes.finfo(want.dtype)
    wide, exact = got.astype(np.float64), want.astype(np.float64)
    with np.errstate(all="ignore"):
        scale = np.maximum(np.abs(exact), float(info.tiny))
        near = np.abs(wide - exact) <= ulps * float(info.eps) * scale
    good = near | (wide == exact) | (np.isnan(wide) & np.isnan(exact))
    assert good.all(), (
        f"{what}\ngot {wide[~good][:5]}, want {exact[~good][:5]} "
        f"at {np.argwhere(~good)[:5].tolist()}"
    )


def is_float(dtype: Any) -> bool:
    """Whether a dtype is a float; ml_dtypes' have kind V, int4 too."""
    return np.dtype(dtype).kind == "f" or "float" in np.dtype(dtype).name


def numbers(
    generator: np.random.Generator, shape: Sequence[int], dtype: Any, scale: float = 4
) -> np.ndarray:
    """Random numbers: normal ones for floats, the whole range for integers."""
    dtype = np.dtype(dtype)
    if dtype == np.bool_:
        return generator.integers(0, 2, shape).astype(bool)
    if is_float(dtype):
        return np.asarray(generator.normal(size=shape) * scale).astype(dtype)
    info = ml_dtypes.iinfo(dtype)
    low, high = int(info.min), int(info.max)
    return np.asarray(generator.integers(low, high, shape, np.int64, True)).astype(
        dtype
    )

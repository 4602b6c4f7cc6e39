"""An ONNX model → a `Program`: its inputs, their dimensions, and the walk."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ix.dim import Dim
from ix.errors import InputError, UnsupportedError
from ix.importer.onnx.graph import GraphImporter
from ix.importer.onnx.load import OnnxModel, load_model
from ix.importer.onnx.tensors import dtype_of, type_name
from ix.importer.program import Module, Program
from ix.importer.promotion import SUPPORTED

__all__ = ["Bounds", "import_onnx", "require_supported_inputs"]

Bounds = int | tuple[int, int] | Dim
"""The size of a dimension, or its smallest and largest."""


def import_onnx(
    model: Any,
    *,
    shapes: Mapping[str, Sequence[int]] | None = None,
    dims: Mapping[str, Bounds] | None = None,
    values: Mapping[str, Any] | None = None,
) -> Program:
    """Imports an ONNX model.

    Args:
        model: A path, bytes, a ModelProto, or what `load_model` gave.
        shapes: Input name → its static shape, where the model leaves sizes open.
        dims: Symbolic dimension of the model → its size, or (minimum, maximum),
            inclusive, to leave it open until the program runs.
        values: Input name → its elements. The program is specialised to them and
            does not take the input any more.

    Raises:
        ModelImportError: The model cannot be read, or is damaged.
        ValuesNeeded: Some inputs are shapes, axes and the like: pass them as values.
        UnsupportedError: Lists everything in the model that ix lacks.
        InputError: A dimension has no size, or a shape does not fit the model.
    """
    loaded = model if isinstance(model, OnnxModel) else load_model(model)
    inputs = loaded.inputs()
    require_supported_inputs(loaded)
    sizes = _Sizes(shapes or {}, dims or {})
    name = re.sub(r"\W", "_", loaded.proto.graph.name) or "main"
    with Module(name) as module:
        arguments: dict[str, Any] = {}
        for each in inputs:
            if each.name in (values or {}):
                assert values is not None
                arguments[each.name] = _value(each, values[each.name])
                continue
            tensor = each.type.tensor_type
            dtype = dtype_of(tensor.elem_type)
            shape = sizes.of(each)
            with module.location(each.name):
                arguments[each.name] = module.argument(each.name, shape, dtype)
        results = GraphImporter(loaded, module).run(arguments)
        return module.finish(results)


def require_supported_inputs(model: OnnxModel) -> None:
    """Checks the types of the inputs, which needs no import.

    Raises:
        UnsupportedError: Lists the inputs whose type ix lacks.
    """
    issues = []
    for each in model.inputs():
        kind = each.type.WhichOneof("value")
        if kind != "tensor_type":
            issues.append(f"input {each.name!r} is no tensor, but {kind or 'untyped'}")
        elif not _has_type(each.type.tensor_type.elem_type):
            element = type_name(each.type.tensor_type.elem_type)
            issues.append(f"input {each.name!r} has element type {element}")
    if issues:
        raise UnsupportedError(issues)


def _has_type(number: int) -> bool:
    dtype = dtype_of(number)  # and NumPy takes None for float64
    return dtype is not None and dtype in SUPPORTED


def _value(info: Any, value: Any) -> np.ndarray[Any, Any]:
    """The elements of an input that the program is specialised to."""
    array = np.asarray(value)
    wanted = dtype_of(info.type.tensor_type.elem_type)
    if array.dtype != wanted:
        raise InputError(
            f"input {info.name!r} needs {wanted}, but its value is {array.dtype}; "
            "convert it"
        )
    return array


class _Sizes:
    """What is known about the sizes of the inputs."""

    def __init__(
        self, shapes: Mapping[str, Sequence[int]], dims: Mapping[str, Bounds]
    ) -> None:
        self._shapes = shapes
        self._dims = dims

    def of(self, info: Any) -> list[int | Dim]:
        """The shape of an input: ints, and `Dim` where it stays open."""
        tensor = info.type.tensor_type
        given = self._shapes.get(info.name)
        if not tensor.HasField("shape"):
            if given is None:
                raise InputError(
                    f"input {info.name!r} needs a shape, but the model has none; "
                    f"pass shapes={{{info.name!r}: (…)}}"
                )
            return [int(size) for size in given]
        declared = list(tensor.shape.dim)
        if given is not None and len(given) != len(declared):
            raise InputError(
                f"input {info.name!r} needs rank {len(declared)}, but its shape is "
                f"given as {tuple(given)}"
            )
        sizes: Sequence[int | None] = given or [None] * len(declared)
        return [
            self._size(info.name, axis, dim, size)
            for axis, (dim, size) in enumerate(zip(declared, sizes, strict=True))
        ]

    def _size(self, name: str, axis: int, dim: Any, given: int | None) -> int | Dim:
        if dim.HasField("dim_value"):
            if given is not None and given != dim.dim_value:
                raise InputError(
                    f"input {name!r} needs size {dim.dim_value} on axis {axis}, but "
                    f"its shape has {given}"
                )
            return int(dim.dim_value)
        symbol = dim.dim_param
        bounds = self._dims.get(symbol)
        if bounds is None and given is None:
            raise InputError(
                f"input {name!r} needs a size for {symbol or 'its open dimension'!r} "
                f"(axis {axis}), but none is given; pass shapes={{{name!r}: (…)}}, or "
                f"dims={{{symbol!r}: (1, 64)}} to leave it open"
            )
        if bounds is None:
            assert given is not None
            return int(given)
        return _bounded(symbol, bounds)


def _bounded(symbol: str, bounds: Bounds) -> int | Dim:
    """A dimension with bounds; names of ONNX need not be identifiers."""
    if isinstance(bounds, int | Dim):
        return bounds
    name = re.sub(r"\W", "_", symbol)
    if not name.isidentifier():
        name = f"dim_{name}"
    return Dim(name, *bounds)

"""`Module`: an ix module under construction; `Program`: the finished one.

with Module("mlp") as module:
    x = module.argument("x", (Dim("batch", 1, 64), 384), np.float32)
    with module.location("encoder.layer.0/Gelu"):
        y = builder.gelu(x)
    program = module.finish([("y", y)])
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar, Token
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from ix.dialects import context
from ix.dim import Dim
from ix.errors import InputError, ModelImportError
from ix.importer.dims import DimExpr, Symbol
from ix.importer.locations import Locations
from ix.importer.promotion import Weak, canonical_dtype, element_type, numpy_dtype
from ix.importer.size_values import emit
from ix.importer.weights import Weights, as_array
from ix.mlir import DYNAMIC, func, ir

__all__ = ["Module", "Program", "current_module"]

_CURRENT: ContextVar[Module | None] = ContextVar("ix_module", default=None)

CONSTANT_BYTES = 1024
"""Arrays above this size become parameters; smaller ones stand in the module."""


@dataclass
class Program:
    """What an importer hands to the compiler.

    Args:
        module: The MLIR module; its entry is `@main`.
        weights: The arrays behind the module's `ix.parameter` ops.
        input_names: Names of the entry's arguments, in order.
        output_names: Names of its results, in order.
        input_tree: How the user's arguments flatten to the inputs, or None: flat.
        output_tree: How the outputs nest in the user's result, or None: flat.
        dims: The declared dynamic dimensions, by name.
    """

    module: Any
    weights: Weights
    input_names: list[str]
    output_names: list[str]
    input_tree: Any
    output_tree: Any
    dims: dict[str, Dim]


def current_module() -> Module:
    """The innermost module that is open.

    Raises:
        InputError: None is: a builder function was called outside of an importer.
    """
    module = _CURRENT.get()
    if module is None:
        raise InputError(
            "ix.importer.builder needs an open module, but there is none; call it "
            "inside `with Module(name):`"
        )
    return module


class Module:
    """An ix module whose entry function `@main` is being built.

    Args:
        name: The model's name; it becomes the symbol of the MLIR module.
    """

    def __init__(self, name: str = "main") -> None:
        self.name = name
        self.weights = Weights()
        self.context = context()
        self.input_names: list[str] = []
        self.dims: dict[str, Dim] = {}
        self.weak: dict[Any, Weak] = {}  # Values that behave as Python scalars
        self.size_tensors: dict[Any, Any] = {}  # size → its rank-0 tensor
        self.symbol_tensors: dict[Any, Any] = {}  # the same for single symbols
        self._shapes: dict[Any, tuple[Any, ...]] = {}
        self._sizes: dict[Any, Any] = {}  # size → its index value
        self._symbols: dict[str, DimExpr] = {}
        self._constants: dict[Any, Any] = {}
        self._argument_dims: list[list[str]] = []
        self._locations = Locations()
        self._names: list[Any] = []
        self._stack = ExitStack()
        self._token: Token[Module | None] | None = None

    def __enter__(self) -> Self:
        self._stack.enter_context(self.context)
        self._stack.enter_context(ir.Location.unknown())
        self.module = ir.Module.create()
        self.module.operation.attributes["sym_name"] = ir.StringAttr.get(self.name)
        with ir.InsertionPoint(self.module.body):
            self.function = func.FuncOp("main", ir.FunctionType.get([], []))
        self.block = self.function.add_entry_block()
        self._stack.enter_context(ir.InsertionPoint(self.block))
        self._token = _CURRENT.set(self)
        return self

    def __exit__(self, *details: Any) -> None:
        assert self._token is not None
        _CURRENT.reset(self._token)
        self._stack.__exit__(*details)

    def argument(self, name: str, shape: Sequence[Any], dtype: Any) -> Any:
        """Adds an argument to the entry and returns its Value.

        Args:
            name: The argument's name, unique in the module.
            shape: Sizes: ints, or `Dim` for a dynamic one.
            dtype: A dtype that ix computes with.

        Raises:
            InputError: The name is taken, or a dimension is declared twice with
                different bounds.
        """
        if name in self.input_names:
            raise InputError(
                f"argument '{name}' needs a name of its own, but it is taken"
            )
        dtype = canonical_dtype(dtype, f"argument '{name}'")
        static = [DYNAMIC if isinstance(size, Dim) else int(size) for size in shape]
        type_ = ir.RankedTensorType.get(static, element_type(dtype))
        value = self.block.add_argument(type_, self.current_location())
        self.input_names.append(name)
        self._argument_dims.append(
            [size.name if isinstance(size, Dim) else "" for size in shape]
        )
        self.set_shape(
            value,
            [
                self._declare(size, value, axis) if isinstance(size, Dim) else int(size)
                for axis, size in enumerate(shape)
            ],
        )
        return value

    def _declare(self, dim: Dim, value: Any, axis: int) -> Any:
        """The size of a declared dimension, read from the first axis that has it."""
        known = self.dims.setdefault(dim.name, dim)
        if known != dim:
            raise InputError(
                f"dimension '{dim.name}' needs one declaration, but it is declared as "
                f"{known} and as {dim}"
            )
        if dim.minimum == dim.maximum:
            return dim.minimum
        if dim.name not in self._symbols:
            size = _read_size(value, axis)
            symbol = Symbol(dim.name, dim.minimum, dim.maximum, size)
            self._symbols[dim.name] = DimExpr.symbol(symbol)
        return self._symbols[dim.name]

    def constant(self, data: Any, dtype: Any = None) -> Any:
        """The Value of an array or number: `ix.constant`, or above 1 KiB a parameter.

        Equal scalars share one op.
        """
        array = np.asarray(as_array(data), dtype)
        canonical = array.astype(canonical_dtype(array.dtype, "a constant"), copy=False)
        if canonical.nbytes > CONSTANT_BYTES:
            return self.parameter(data if canonical is data else canonical)
        key = (canonical.dtype, canonical.shape, canonical.tobytes())
        if key not in self._constants:
            self._constants[key] = self.create("constant", canonical)
        return self._constants[key]

    def parameter(self, data: Any, name: str | None = None) -> Any:
        """The Value of an array that stays outside the module; nothing is copied.

        Raises:
            ModelImportError: Another array has that name.
        """
        name = self.weights.add(data, name)
        if name not in self._constants:
            array = self.weights.array(name)
            dtype = canonical_dtype(array.dtype, f"parameter '{name}'")
            type_ = ir.RankedTensorType.get(list(array.shape), element_type(dtype))
            self._constants[name] = self.create("parameter", type_, name=name)
        return self._constants[name]

    def create(self, mnemonic: str, *operands: Any, **attributes: Any) -> Any:
        """Builds an op by its mnemonic, at the current location.

        Returns:
            Its Value, or a tuple of them.
        """
        with self.current_location():
            return _OPS[mnemonic].build(*operands, **attributes)

    @contextmanager
    def location(self, name: str, file: str = "", line: int = 0) -> Iterator[None]:
        """Names the source op of everything built inside.

        Args:
            name: For example "encoder.layer.0/Gelu".
            file, line: Where the source op stands, if that is known.
        """
        place = ir.Location.file(file, line, 0) if file else None
        self._names.append(ir.Location.name(name, place, self.context))
        try:
            yield
        finally:
            self._names.pop()

    def current_location(self) -> Any:
        """The named source op, or else the user's source line."""
        return self._names[-1] if self._names else self._locations.current()

    def shape(self, value: Any) -> tuple[Any, ...]:
        """The sizes of a tensor: ints, and a `DimExpr` for each dynamic one."""
        known = self._shapes.get(value)
        if known is not None:
            return known
        type_ = value.type
        sizes = tuple(type_.shape)
        if not type_.has_static_shape:
            sizes = tuple(
                self._measured(value, axis) if size == DYNAMIC else size
                for axis, size in enumerate(sizes)
            )
        self._shapes[value] = sizes
        return sizes

    def set_shape(self, value: Any, sizes: Sequence[Any]) -> None:
        """Records what is known about the sizes of a tensor's dynamic axes."""
        static = value.type.shape
        self._shapes[value] = tuple(
            size if known == DYNAMIC else known
            for size, known in zip(sizes, static, strict=True)
        )

    def _measured(self, value: Any, axis: int) -> DimExpr:
        """A fresh symbol for a size that only the tensor itself knows."""
        name = f"size{len(self._symbols)}"
        symbol = Symbol(name, 0, value=_read_size(value, axis))
        self._symbols[name] = DimExpr.symbol(symbol)
        return self._symbols[name]

    def index(self, size: Any) -> Any:
        """The MLIR index value of an int or a `DimExpr`."""
        with self.current_location():
            return emit(size, self._sizes)

    def finish(
        self,
        results: Sequence[tuple[str, Any]],
        *,
        input_tree: Any = None,
        output_tree: Any = None,
    ) -> Program:
        """Closes `@main` with named results, verifies it, and returns the program.

        Raises:
            ModelImportError: The module does not verify: a fault of the importer.
        """
        values = [value for _, value in results]
        func.ReturnOp(values)
        arguments = list(self.block.arguments)
        type_ = ir.FunctionType.get(
            [each.type for each in arguments], [each.type for each in values]
        )
        self.function.attributes["function_type"] = ir.TypeAttr.get(type_)
        self._erase_unused_sizes()
        self._write_attributes([name for name, _ in results])
        try:
            self.module.operation.verify()
        except ir.MLIRError as error:
            raise ModelImportError(f"'{self.name}' does not verify: {error}") from error
        return Program(
            self.module,
            self.weights,
            self.input_names,
            [name for name, _ in results],
            input_tree,
            output_tree,
            self.dims,
        )

    def _erase_unused_sizes(self) -> None:
        """Drops the reads of sizes, and the arithmetic on them, that nothing uses."""
        for op in reversed(list(self.block.operations)):
            index = [isinstance(each.type, ir.IndexType) for each in op.results]
            if index and all(index) and not any(True for _ in op.results[0].uses):
                op.operation.erase()

    def _write_attributes(self, output_names: list[str]) -> None:
        inputs = []
        for name, dims_ in zip(self.input_names, self._argument_dims, strict=True):
            attributes = {"ix.name": ir.StringAttr.get(name)}
            if any(dims_):
                names = [ir.StringAttr.get(each) for each in dims_]
                attributes["ix.dims"] = ir.ArrayAttr.get(names)
            inputs.append(ir.DictAttr.get(attributes))
        outputs = [
            ir.DictAttr.get({"ix.name": ir.StringAttr.get(name)})
            for name in output_names
        ]
        self.function.attributes["arg_attrs"] = ir.ArrayAttr.get(inputs)
        self.function.attributes["res_attrs"] = ir.ArrayAttr.get(outputs)
        if self.dims:
            i64 = ir.IntegerType.get_signless(64)
            bounds = {
                dim.name: ir.ArrayAttr.get(
                    [
                        ir.IntegerAttr.get(i64, each)
                        for each in (dim.minimum, dim.maximum)
                    ]
                )
                for dim in self.dims.values()
            }
            self.module.operation.attributes["ix.dims"] = ir.DictAttr.get(bounds)


def dtype_of(value: Any) -> np.dtype[Any]:
    """The NumPy dtype of a tensor Value."""
    return numpy_dtype(value.type.element_type)


def _read_size(value: Any, axis: int) -> Any:
    """Emits `ix.dim` right after the definition of `value`."""
    module = current_module()
    return module.create("dim", value, axis=axis)


class _OpTable(dict[str, Any]):
    """Mnemonic → op class, read from the dialect."""

    def __missing__(self, mnemonic: str) -> Any:
        from ix.dialects.ix import Ix

        self.update({op.OPERATION_NAME.partition(".")[2]: op for op in Ix.operations})
        if mnemonic not in self:
            raise AssertionError(f"the dialect ix has no op {mnemonic}")
        return self[mnemonic]


_OPS = _OpTable()

"""What the ops of ix compute, in NumPy: the table of all families, and an interpreter.

`evaluate` runs a function of ix ops on arrays. Tests compare kernels with it, and the
compiler computes constants by it.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ix.dialects.ix.dialect import IxOp
from ix.dialects.ix.program import ConstantOp, ParameterOp, elements_array
from ix.dialects.ix.reference_attention import ATTENTION
from ix.dialects.ix.reference_contraction import CONTRACTION
from ix.dialects.ix.reference_convolution import CONVOLUTION
from ix.dialects.ix.reference_elementwise import ELEMENTWISE
from ix.dialects.ix.reference_index import INDEX
from ix.dialects.ix.reference_movement import MOVEMENT
from ix.dialects.ix.reference_normalization import NORMALIZATION
from ix.dialects.ix.reference_precision import Array, is_float, rounded
from ix.dialects.ix.reference_reduction import REDUCTION
from ix.dialects.ix.reference_resampling import RESAMPLING
from ix.dialects.ix.shapes import is_float as is_float_type
from ix.dialects.ix.shapes import numpy_dtype
from ix.errors import CompileError, InputError
from ix.mlir import DYNAMIC, func, ir

__all__ = ["REFERENCE", "evaluate"]

REFERENCE: dict[str, Callable[..., list[Array]]] = {
    **ELEMENTWISE,
    **MOVEMENT,
    **RESAMPLING,
    **REDUCTION,
    **NORMALIZATION,
    **CONTRACTION,
    **CONVOLUTION,
    **ATTENTION,
}
"""Op name → (operands, attributes as Python values, result types) → results."""


def evaluate(
    function: Any,
    inputs: Sequence[Any],
    parameters: Mapping[str, Any] | None = None,
    *,
    precise: bool = False,
) -> list[Array]:
    """Computes the results of a function of ix ops and index arithmetic.

    Args:
        function: A func.FuncOp, or a module, which means its @main.
        inputs: One array for each argument, of its dtype and shape.
        parameters: Parameter name → array, for `ix.parameter`.
        precise: Computes all floats in float64 and rounds the results alone.

    Returns:
        One array for each result, of its dtype.

    Raises:
        InputError: An input does not fit, or a parameter is missing.
        CompileError: The function holds an op that has no reference.
    """
    owner = function
    if isinstance(owner, ir.Module):
        function = _callee(owner.operation, "main")
    interpreter = _Interpreter(owner, function, parameters or {}, precise)
    results = interpreter.call(function, [np.asarray(array) for array in inputs])
    declared = zip(results, function.type.results, strict=True)
    return [_as_declared(array, type_) for array, type_ in declared]


class _Interpreter:
    """Runs functions of one module, a call inside a call on the same object."""

    def __init__(
        self, owner: Any, function: Any, parameters: Mapping[str, Any], precise: bool
    ) -> None:
        self.owner = owner  # an op does not keep its module alive
        self.module = function.operation.parent
        self.parameters = parameters
        self.precise = precise

    def call(self, function: Any, inputs: Sequence[Array]) -> list[Array]:
        """Runs the one block of a function."""
        arguments = list(function.arguments)
        if len(arguments) != len(inputs):
            raise InputError(
                f"@{function.name.value} needs {len(arguments)} inputs, but got "
                f"{len(inputs)}; pass one array for each argument"
            )
        values: dict[ir.Value, Array] = {}
        for argument, array in zip(arguments, inputs, strict=True):
            values[argument] = self.accepted(array, argument)
        for op in function.regions[0].blocks[0].operations:
            operands = [values[operand] for operand in op.operands]
            if isinstance(op, func.ReturnOp):
                return operands
            results = self.run(op, operands)
            for value, array in zip(op.results, results, strict=True):
                _require_shape(op, value.type, array)
                values[value] = array
        return []

    def accepted(self, array: Array, argument: Any) -> Array:
        """An input in the type to compute in, when it fits the argument."""
        if isinstance(argument.type, ir.IndexType):
            return np.asarray(array, np.int64)
        dtype = numpy_dtype(argument.type.element_type)
        computed_before = self.precise and array.dtype == np.float64 and is_float(dtype)
        if (array.dtype != dtype and not computed_before) or not _fits(
            array.shape, argument.type.shape
        ):
            raise InputError(
                f"argument {argument.arg_number} needs {argument.type}, but got "
                f"{array.dtype.name} of shape {array.shape}; convert it"
            )
        return self.widened(array)

    def widened(self, array: Array) -> Array:
        """Floats as float64 in precise mode; everything else as it is."""
        if self.precise and is_float(array.dtype):
            return array.astype(np.float64)
        return array

    def run(self, op: Any, operands: list[Array]) -> list[Array]:
        """The results of one op."""
        if isinstance(op, ConstantOp):
            return [self.widened(elements_array(op.attributes["value"]))]
        if isinstance(op, ParameterOp):
            return [self.parameter(op)]
        if isinstance(op, func.CallOp):
            return self.call(_callee(self.module, op.callee.value), operands)
        if op.operation.name in INDEX:
            return [np.asarray(INDEX[op.operation.name](op, *operands), np.int64)]
        entry = REFERENCE.get(op.operation.name)
        if entry is None or not isinstance(op, IxOp):
            raise CompileError(
                op, "needs a reference to be evaluated, but has none; lower it later"
            )
        types = [self.computed_type(result.type) for result in op.results]
        return entry(operands, op.python_attributes(), types)

    def parameter(self, op: ParameterOp) -> Array:
        """The array of a parameter."""
        if op.name not in self.parameters:
            raise InputError(
                f"ix.parameter needs '{op.name}', but the parameters do not have it; "
                "pass its array"
            )
        array = np.asarray(self.parameters[op.name])
        type_ = op.result.type
        if not _fits(array.shape, type_.shape):
            raise InputError(
                f"ix.parameter '{op.name}' needs {type_}, but got shape {array.shape}"
                "; pass the array the program was imported with"
            )
        return self.widened(array.astype(numpy_dtype(type_.element_type), copy=False))

    def computed_type(self, type_: ir.Type) -> ir.Type:
        """The type that an entry should give its result."""
        if not self.precise or isinstance(type_, ir.IndexType):
            return type_
        if not is_float_type(type_.element_type):
            return type_
        return ir.RankedTensorType.get(
            type_.shape,
            ir.F64Type.get(type_.context),
            loc=ir.Location.unknown(type_.context),
        )


def _callee(module: Any, name: str) -> Any:
    """The function `name` of a module."""
    for op in module.regions[0].blocks[0].operations:
        if isinstance(op, func.FuncOp) and op.name.value == name:
            return op
    raise InputError(f"the module needs a function @{name}, but has none; name one so")


def _as_declared(array: Array, type_: ir.Type) -> Array:
    """A result in the dtype of the function's signature."""
    if isinstance(type_, ir.IndexType):
        return array
    return rounded(array, numpy_dtype(type_.element_type))


def _fits(shape: Sequence[int], declared: Sequence[int]) -> bool:
    return len(shape) == len(declared) and all(
        size in (DYNAMIC, actual) for actual, size in zip(shape, declared, strict=True)
    )


def _require_shape(op: Any, type_: ir.Type, array: Array) -> None:
    """Raises where an array contradicts the sizes that the IR declares."""
    if isinstance(type_, ir.RankedTensorType) and not _fits(array.shape, type_.shape):
        raise CompileError(
            op,
            f"needs a result of type {type_}, but its operands give shape "
            f"{array.shape}; dynamic sizes that were taken as equal differ",
        )

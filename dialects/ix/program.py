"""Ops that bring data into a program: parameters and constants."""

from typing import Any

import numpy as np

from ix.dialects.ix.dialect import Choice, IxOp, Result
from ix.dialects.ix.shapes import (
    is_bool,
    mlir_type,
    numpy_dtype,
    require,
    require_tensors,
    tensor_type,
)
from ix.mlir import ir


class ParameterOp(IxOp, name="parameter"):
    """A tensor that lives beside the module, in its table of weights.

    name:    the key in the table; "@0", "@1" … are results of @constants
    result:  tensor<… x T>, static
    """

    name: Choice
    result: Result

    @classmethod
    def build(cls, type: ir.RankedTensorType, *, name: str) -> ir.Value:
        """Refers to the parameter `name`, a tensor of type `type`."""
        return cls.create([], [type], name=name).result

    def check(self) -> None:
        """The result is a static tensor, and the name is not empty."""
        require_tensors([self.result.type])
        require(self.name != "", "name must not be empty")
        require(
            self.result.type.has_static_shape,
            f"a parameter must have static sizes, got {self.result.type}",
        )


class ConstantOp(IxOp, name="constant"):
    """A tensor whose elements stand in the IR; for scalars and small tables.

    value:   dense<…> : tensor<… x T>
    result:  tensor<… x T>
    """

    value: Any
    result: Result

    @classmethod
    def build(cls, value: Any, dtype: Any = None) -> ir.Value:
        """Embeds a NumPy array, a Python number or a DenseElementsAttr.

        Args:
            value: What `numpy.asarray` takes, or the attribute itself.
            dtype: NumPy dtype, its name or the MLIR name; None keeps the value's.
        """
        if not isinstance(value, ir.Attribute):
            array = np.asarray(value)
            element = cls.element_type(array.dtype if dtype is None else dtype)
            value = dense_elements(array, str(element))
        return cls.create([], [value.type], value=value).result

    def check(self) -> None:
        """The value's type is the result's."""
        value = self.attributes["value"]
        require(
            isinstance(value, ir.DenseElementsAttr),
            f"value must be dense elements, got {value}",
        )
        require_tensors([self.result.type])
        require(
            value.type == self.result.type,
            f"result must be {value.type}, got {self.result.type}",
        )


def dense_elements(array: np.ndarray, dtype: Any = None) -> ir.DenseElementsAttr:
    """A NumPy array as DenseElementsAttr; equal elements become a splat.

    Args:
        array: The elements, in any shape (an axis of size 0 included).
        dtype: The element type to convert to; None keeps the array's.
    """
    element = mlir_type(array.dtype if dtype is None else dtype)
    array = np.asarray(array, numpy_dtype(element))
    type_ = tensor_type(array.shape, element)
    octets = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
    rows = octets.reshape(array.size, -1) if array.size else octets
    if array.size > 1 and bool((rows == rows[0]).all()):
        if is_bool(element):  # a one-byte buffer of i1 is read as packed bits
            flag = ir.BoolAttr.get(bool(octets[0]))
            return ir.DenseElementsAttr.get_splat(type_, flag)
        octets = rows[0]
    return ir.DenseElementsAttr.get(np.ascontiguousarray(octets), type=type_)


def elements_array(value: ir.DenseElementsAttr) -> np.ndarray:
    """The elements of a DenseElementsAttr as a NumPy array: undoes `dense_elements`."""
    dtype = numpy_dtype(value.type.element_type)
    shape = tuple(value.type.shape)
    if dtype.name not in _OPAQUE_DTYPES:
        return np.array(value, dtype).reshape(shape)
    # The bindings give no buffer of these types, so the text is read. MLIR prints
    # more than a hundred elements as one hexadecimal string.
    body = str(value).removeprefix("dense<").rsplit("> : ", 1)[0]
    if body.startswith('"0x'):
        return np.frombuffer(bytes.fromhex(body[3:-1]), dtype).reshape(shape).copy()
    words = body.replace("[", " ").replace("]", " ").replace(",", " ").split()
    flat = np.array([_number(word, dtype) for word in words], dtype)
    if flat.size == 1:  # a splat
        return np.full(shape, flat[0], dtype)
    return flat.reshape(shape)


_OPAQUE_DTYPES = ("bfloat16", "float8_e4m3fn", "float8_e5m2", "int4")


def _number(word: str, dtype: np.dtype[Any]) -> Any:
    """One printed element; NaN and infinities are printed as their bits."""
    if word.startswith("0x"):
        bits = np.array(int(word, 16), f"u{dtype.itemsize}")
        return bits.view(dtype)[()]
    return dtype.type(float(word))

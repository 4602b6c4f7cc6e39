"""One node as its handler sees it: inputs, typed attributes, and typed complaints."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from ix.errors import ModelImportError, UnsupportedError
from ix.importer import builder as b
from ix.importer.onnx.tensors import DTYPES, dtype_of, type_name

__all__ = [
    "Handler",
    "NeedsValue",
    "Node",
    "Parameter",
    "Unsupported",
    "ValuesNeeded",
    "materialized",
]


class ValuesNeeded(UnsupportedError):
    """Some inputs are shapes, axes and the like, which must be known on import.

    inputs:  their names; pass their elements as `values`
    """

    def __init__(self, items: list[str], inputs: frozenset[str]) -> None:
        self.inputs = inputs
        names = ", ".join(repr(name) for name in sorted(inputs))
        super().__init__(items, f"pass the elements of {names} as values")


class Unsupported(Exception):
    """What a handler raises for a form of its op that ix does not have."""


class NeedsValue(Unsupported):
    """A handler needs the elements of a value that only a run can know.

    value:  the MLIR value in question
    """

    def __init__(self, value: Any, message: str) -> None:
        self.value = value
        super().__init__(message)


class Parameter(NamedTuple):
    """A large initializer: an array that becomes a named parameter where it is used."""

    array: np.ndarray[Any, Any]
    name: str


def materialized(value: Any, module: Any) -> Any:
    """What the builder takes for a value of a scope."""
    if isinstance(value, Parameter):
        return module.parameter(value.array, value.name)
    if isinstance(value, np.ndarray) and value.dtype == object:
        flat = [b.size_value(size) for size in value.reshape(-1)]
        return (
            b.reshape(b.stack(flat), value.shape) if value.ndim != 1 else b.stack(flat)
        )
    return value


class Node:
    """A node with its inputs resolved.

    raw_inputs: the values of the scope: a NumPy array where the model fixes the
                elements (dtype object: sizes, some of them dynamic), a `Parameter`,
                an MLIR value, or None where the model leaves the input out

    attributes: name → AttributeProto, references to a caller resolved
    opset:      the version of the node's domain that the model imports
    importer:   imports subgraphs; handlers of control flow use it
    scope:      where the node stands
    """

    def __init__(
        self,
        proto: Any,
        opset: int,
        inputs: Sequence[Any],
        attributes: dict[str, Any],
        importer: Any = None,
        scope: Any = None,
    ) -> None:
        self.proto = proto
        self.op_type: str = proto.op_type
        self.opset = opset
        self.raw_inputs = list(inputs)
        self.outputs: list[str] = list(proto.output)
        self.importer = importer
        self.scope = scope
        self.attributes = attributes

    # Inputs.

    def has(self, index: int) -> bool:
        """Whether the input is given."""
        return index < len(self.raw_inputs) and self.raw_inputs[index] is not None

    def input(self, index: int) -> Any:
        """A required input, as the builder takes it."""
        if not self.has(index):
            raise ModelImportError(
                f"needs input {index}, but the node has {len(self.raw_inputs)}; "
                "the model is damaged: export it again"
            )
        return materialized(self.raw_inputs[index], self.importer.module)

    def optional(self, index: int) -> Any | None:
        """An input, or None where it is left out."""
        return self.input(index) if self.has(index) else None

    def constant(self, index: int, what: str) -> np.ndarray[Any, Any]:
        """The elements of an input that must be known on import.

        Raises:
            NeedsValue: Only a run can know them.
        """
        raw = self.raw_inputs[index] if self.has(index) else None
        if isinstance(raw, Parameter):
            return raw.array
        value = self.importer.fold(self.input(index))
        if isinstance(value, np.ndarray):
            return value
        raise NeedsValue(
            value, f"needs a constant {what}, but input {index} is computed"
        )

    def constant_integers(self, index: int, what: str) -> list[int]:
        """The elements of a constant integer input, flat."""
        return [int(item) for item in self.constant(index, what).reshape(-1)]

    def scalar(self, index: int, what: str) -> Any:
        """The only element of a constant input, as a Python number."""
        array = self.constant(index, what)
        if array.size != 1:
            raise ModelImportError(
                f"needs one element as {what}, but input {index} has {array.size}"
            )
        return array.reshape(-1)[0].item()

    def shape(self, index: int) -> tuple[Any, ...]:
        """The sizes of an input: ints, and dim expressions where they are dynamic."""
        return tuple(b.shape(self.input(index)))

    def sizes(self, index: int) -> tuple[int, ...]:
        """The sizes of an input, all static.

        Raises:
            Unsupported: One of them is dynamic.
        """
        shape = self.shape(index)
        if not all(isinstance(size, int) for size in shape):
            raise Unsupported(f"needs static sizes, but input {index} has dynamic ones")
        return shape

    def size(self, index: int, axis: int) -> int:
        """The size of one axis of an input, static.

        Raises:
            Unsupported: It is dynamic.
        """
        size = self.shape(index)[axis]
        if not isinstance(size, int):
            raise Unsupported(
                f"needs a static size on axis {axis} of input {index}, but it is {size}"
            )
        return size

    def spatial(self, index: int) -> list[int]:
        """The sizes from axis 2 on, static; batch and channels may be dynamic.

        Raises:
            Unsupported: One of them is dynamic.
        """
        sizes = self.shape(index)[2:]
        if not all(isinstance(size, int) for size in sizes):
            raise Unsupported(
                f"needs static spatial sizes, but input {index} has dynamic ones"
            )
        return list(sizes)

    def rank(self, index: int) -> int:
        """The number of axes of an input."""
        return len(self.shape(index))

    def dtype(self, index: int) -> np.dtype[Any]:
        """The element type of an input."""
        return b.dtype(self.input(index))

    def axis(self, name: str, default: int | None, rank: int) -> int:
        """An axis attribute, normalised to 0 ≤ axis < rank."""
        return self.normal(self.integer(name, default), rank)

    def normal(self, axis: int, rank: int) -> int:
        """`axis` counted from the front."""
        if not -rank <= axis < rank:
            raise ModelImportError(
                f"needs an axis from {-rank} to {rank - 1}, but it is {axis}; "
                "the model is damaged: export it again"
            )
        return axis % rank

    # Attributes.

    def has_attribute(self, name: str) -> bool:
        """Whether the attribute is given."""
        return name in self.attributes

    def integer(self, name: str, default: int | None = None) -> int:
        """An integer attribute."""
        return self._get(name, "i", default)

    def flag(self, name: str, default: bool = False) -> bool:
        """An integer attribute that stands for a bool."""
        return bool(self._get(name, "i", int(default)))

    def number(self, name: str, default: float | None = None) -> float:
        """A number attribute."""
        return self._get(name, "f", default)

    def text(self, name: str, default: str | None = None) -> str:
        """A string attribute."""
        value = self._get(name, "s", default)
        if isinstance(value, str):
            return value
        try:
            return value.decode()
        except UnicodeDecodeError as error:
            raise ModelImportError(
                f"needs UTF-8 in attribute '{name}', but it holds {value[:32]!r}; "
                "the model is damaged: export it again"
            ) from error

    def integers(self, name: str, default: Sequence[int] | None = None) -> list[int]:
        """A list of integers."""
        return list(self._get(name, "ints", default))

    def numbers(self, name: str, default: Sequence[float] | None = None) -> list[float]:
        """A list of numbers."""
        return list(self._get(name, "floats", default))

    def texts(self, name: str, default: Sequence[str] | None = None) -> list[str]:
        """A list of strings."""
        values = self._get(name, "strings", default)
        return [v if isinstance(v, str) else v.decode(errors="replace") for v in values]

    def array(self, name: str) -> np.ndarray[Any, Any]:
        """A tensor attribute."""
        tensor = self._get(name, "t", None)
        if tensor.data_type not in DTYPES:
            raise Unsupported(
                f"holds {type_name(tensor.data_type)}, an element type ix does not have"
            )
        return self.importer.model.tensor(tensor, f"attribute '{name}'")

    def graph(self, name: str) -> Any:
        """A graph attribute."""
        return self._get(name, "g", None)

    def dtype_attribute(self, name: str, default: int | None = None) -> Any:
        """An element type given by its ONNX number."""
        number = self.integer(name, default)
        dtype = dtype_of(number)
        if dtype is None:
            raise Unsupported(
                f"asks for {type_name(number)}, an element type that ix does not have"
            )
        return dtype

    def _get(self, name: str, field: str, default: Any) -> Any:
        if name in self.attributes:
            return getattr(self.attributes[name], field)
        if default is None:
            raise ModelImportError(
                f"needs attribute '{name}', but does not have it; "
                "the model is damaged: export it again"
            )
        return default


Handler = Callable[[Node], Any]
"""A node's outputs: one value, or a sequence of them (None for one left out)."""

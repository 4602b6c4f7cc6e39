"""The dialect `ix` and the base of its ops.

An op class declares its fields and one rule; builders and the verifier share it:

class SoftmaxOp(IxOp, name="softmax"):
    '''e^(x − max) / Σ e^(x − max) along `axis`.'''

    input: Operand
    axis: Int
    result: Result

    @classmethod
    def build(cls, input: ir.Value, *, axis: int) -> ir.Value:
        return cls.create([input], axis=axis).result

    @classmethod
    def infer(cls, input: ir.RankedTensorType, *, axis: int) -> list[ir.Type]:
        require_axis(axis, input.rank)
        return [input]

`op.axis` then reads as a Python int. A field of type `Operands` (or `Results`) takes
all operands (results) after the single ones before it, so it comes last.
"""

from collections.abc import Sequence
from typing import Any, Self

from ix.dialects.ix.shapes import (
    ShapeError,
    from_attribute,
    is_compatible,
    mlir_type,
    require,
    require_tensors,
    to_attribute,
)
from ix.errors import InputError
from ix.mlir import ext, ir

Operand = ext.Operand[Any]
Operands = Sequence[ext.Operand[Any]]
Result = ext.Result[Any]
Results = Sequence[ext.Result[Any]]

Ints = ir.ArrayAttr  # read as list[int]
Floats = ir.ArrayAttr  # read as list[float]
Int = ir.IntegerAttr  # i64, read as int
Flag = ir.IntegerAttr  # i1, read as bool
Float = ir.FloatAttr  # f64, read as float
Choice = ir.StringAttr  # read as str


_Fields = tuple[int, list[str]]  # how many are single, and the names of all


class Ix(ext.Dialect, name="ix"):
    """Whole-tensor ops with value semantics."""


class IxOp(Ix.Operation, traits=[ext.Pure]):
    """The base of every ix op: creation, typed accessors and verification."""

    @classmethod
    def infer(cls, *operands: ir.Type, **attributes: Any) -> list[ir.Type]:
        """The result types for operand types and attributes.

        Raises:
            ShapeError: They break the rule of the op.
        """
        raise NotImplementedError(cls.OPERATION_NAME)

    @classmethod
    def create(
        cls,
        operands: Sequence[ir.Value],
        results: Sequence[ir.Type] | None = None,
        **attributes: Any,
    ) -> Self:
        """Creates the op at the current insertion point and location.

        Args:
            operands: All operands in order.
            results: Result types; None infers them.
            attributes: Python values of the op's attributes.

        Raises:
            InputError: The rule of the op does not hold.
        """
        try:
            if results is None:
                results = cls._inferred([o.type for o in operands], attributes)
        except ShapeError as error:
            raise InputError(f"{cls.OPERATION_NAME}: {error}") from None
        kinds = cls._attribute_kinds()
        op = ir.Operation.create(
            cls.OPERATION_NAME,
            results=results,
            operands=operands,
            attributes={
                name: to_attribute(value, kinds[name])
                for name, value in attributes.items()
            },
        )
        return op.opview

    @classmethod
    def element_type(cls, dtype: Any) -> ir.Type:
        """The element type that a builder was given: an MLIR type, a dtype or a name.

        Raises:
            InputError: ix has no such element type.
        """
        try:
            return dtype if isinstance(dtype, ir.Type) else mlir_type(dtype)
        except ShapeError as error:
            raise InputError(f"{cls.OPERATION_NAME}: {error}") from None

    def python_attributes(self) -> dict[str, Any]:
        """The op's attributes as Python values, in the order they are declared."""
        attributes = self.attributes
        return {
            name: from_attribute(attributes[name]) for name in self._attribute_kinds()
        }

    def check(self) -> None:
        """Raises `ShapeError` unless the result types are those that `infer` gives.

        An op whose result type is free (a cast) overrides this.
        """
        operands = [operand.type for operand in self.operands]
        inferred = self._inferred(operands, self.python_attributes())
        actual = [result.type for result in self.results]
        require(
            len(inferred) == len(actual) and all(map(is_compatible, inferred, actual)),
            lambda: (
                f"result must be {', '.join(map(str, inferred))}, "
                f"got {', '.join(map(str, actual))}"
            ),
        )

    def verify_invariants(self) -> bool:
        """Called by MLIR's verifier; reports at the op's location."""
        try:
            with self.location:  # types are built here, which needs a context
                self._require_declared_form()
                self.check()
        except ShapeError as error:
            self.location.emit_error(f"{self.OPERATION_NAME}: {error}")
            return False
        return True

    def _require_declared_form(self) -> None:
        """Raises unless operands, results and attributes are those of the class.

        IRDL checks that too, but after `check`, which relies on it.
        """
        attributes = self.attributes
        for name, kind in self._attribute_kinds().items():
            require(name in attributes, f"needs the attribute {name}; add it")
            allowed = _ATTRIBUTE_KINDS.get(kind)
            if allowed is not None and not isinstance(attributes[name], allowed[0]):
                raise ShapeError(f"{name} must be {allowed[1]}, got {attributes[name]}")
        operands, results = self._value_fields()
        _require_count("operands", operands, len(self.operands))
        _require_count("results", results, len(self.results))

    @classmethod
    def _value_fields(cls) -> tuple[_Fields, _Fields]:
        """Names of operands and of results, and how many of them are single."""
        fields: tuple[_Fields, _Fields] | None = cls.__dict__.get("_values")
        if fields is None:
            operands, _, results, _ = ext.partition_fields(cls._fields)
            fields = _named(operands), _named(results)
            cls._values = fields
        return fields

    @classmethod
    def _inferred(
        cls, operands: Sequence[ir.Type], attributes: dict[str, Any]
    ) -> list[ir.Type]:
        require_tensors(t for t in operands if not isinstance(t, ir.IndexType))
        _require_well_formed(cls._attribute_kinds(), attributes)
        return cls.infer(*operands, **attributes)

    @classmethod
    def _attribute_kinds(cls) -> dict[str, type]:
        """Attribute name → its attribute class."""
        kinds: dict[str, type] | None = cls.__dict__.get("_kinds")
        if kinds is None:
            fields = ext.partition_fields(cls._fields)[1]
            kinds = {field.name: field.constraint for field in fields}
            cls._kinds = kinds
        return kinds

    # ext would write operandSegmentSizes for any variadic operand; with at most one
    # variadic group, and that the last, positions say enough.

    @staticmethod
    def _generate_segments(fields: Sequence[Any]) -> None:
        assert all(f.variadicity == ext.Variadicity.single for f in fields[:-1])

    @classmethod
    def _generate_operand_properties(cls, operands: Sequence[Any]) -> None:
        for index, field in enumerate(operands):
            setattr(cls, field.name, _positional("operands", index, field))

    @classmethod
    def _generate_result_properties(cls, results: Sequence[Any]) -> None:
        for index, field in enumerate(results):
            setattr(cls, field.name, _positional("results", index, field))

    @classmethod
    def _generate_attr_properties(cls, attributes: Sequence[Any]) -> None:
        for field in attributes:
            setattr(cls, field.name, _python_valued(field.name))


_ATTRIBUTE_KINDS: dict[Any, tuple[Any, str]] = {
    ir.ArrayAttr: (ir.ArrayAttr, "a list"),
    ir.IntegerAttr: ((ir.IntegerAttr, ir.BoolAttr), "an integer or a flag"),
    ir.FloatAttr: (ir.FloatAttr, "a float"),
    ir.StringAttr: (ir.StringAttr, "a string"),
}
"""Declared attribute class → the classes that an attribute may have, and their noun."""


def _named(fields: Sequence[Any]) -> _Fields:
    single = sum(f.variadicity == ext.Variadicity.single for f in fields)
    return single, [field.name for field in fields]


def _require_count(what: str, fields: _Fields, count: int) -> None:
    """Raises unless there are as many operands or results as the fields declare."""
    single, names = fields
    is_open = single < len(names)
    require(
        count == single or (count > single and is_open),
        lambda: (
            f"needs {single}{' or more' * is_open} {what} "
            f"({', '.join(names) or 'none'}), got {count}"
        ),
    )


def _positional(group: str, index: int, field: Any) -> property:
    """A property that reads one operand or result, or all from `index` on."""
    if field.variadicity == ext.Variadicity.single:
        return property(lambda self: getattr(self, group)[index])
    return property(lambda self: list(getattr(self, group))[index:])


def _python_valued(name: str) -> property:
    """A property that reads an attribute as a Python value."""
    return property(lambda self: from_attribute(self.attributes[name]))


def _require_well_formed(kinds: dict[str, type], attributes: dict[str, Any]) -> None:
    """Raises where an attribute list holds something other than numbers."""
    for name, kind in kinds.items():
        if kind is ir.ArrayAttr:
            require(
                all(isinstance(item, int | float) for item in attributes[name]),
                f"{name} must be a list of numbers, got {attributes[name]}",
            )

"""Ops that sum products over shared axes: matmul and dot_general.

Floats of 16 and 8 bits accumulate in f32. The result rounds once, to the operands' type
or, where the op says so by its result type, not at all: f32.
"""

from collections.abc import Sequence
from typing import Any

from ix.dialects.ix.dialect import Flag, Ints, IxOp, Operand, Result
from ix.dialects.ix.shapes import (
    ShapeError,
    broadcast_shapes,
    dim_sizes_agree,
    is_bool,
    is_compatible,
    is_float,
    is_integer,
    require,
    require_axis,
    tensor_type,
)
from ix.errors import InputError
from ix.mlir import ir


class ContractionOp(IxOp):
    """The base of matmul and the convolutions: the result's element type may be f32."""

    @classmethod
    def contract(
        cls,
        operands: Sequence[ir.Value],
        element_type: ir.Type | None,
        **attributes: Any,
    ) -> ir.Value:
        """Creates the op with the given result element type; None infers it."""
        if element_type is None:
            return cls.create(operands, **attributes).result
        try:
            inferred = cls.inferred_type([o.type for o in operands], attributes)
        except ShapeError as error:
            raise InputError(f"{cls.OPERATION_NAME}: {error}") from None
        type_ = tensor_type(inferred.shape, element_type)
        return cls.create(operands, [type_], **attributes).result

    @classmethod
    def inferred_type(
        cls, operands: Sequence[ir.Type], attributes: dict[str, Any]
    ) -> ir.RankedTensorType:
        """The result type that operands and attributes give."""
        return cls._inferred(operands, attributes)[0]

    def check(self) -> None:
        """The result type is the inferred one, or the same of f32 for short floats."""
        types = [operand.type for operand in self.operands]
        inferred = self.inferred_type(types, self.python_attributes())
        allowed = [inferred]
        if is_short_float(inferred.element_type):
            allowed.append(tensor_type(inferred.shape, ir.F32Type.get()))
        require(
            any(is_compatible(type_, self.result.type) for type_ in allowed),
            lambda: (
                f"result must be {' or '.join(map(str, allowed))}, "
                f"got {self.result.type}"
            ),
        )


class MatmulOp(ContractionOp, name="matmul"):
    """C[…, m, n] = Σ over k of A[…, m, k] · B[…, k, n]; leading axes broadcast.

    a:            tensor<… x M x K x T>, or … x K x M with transpose_a
    b:            tensor<… x K x N x T>, or … x N x K with transpose_b
    result:       tensor<… x M x N x T>; i4, i8 and ui8, also mixed, give i32
    """

    a: Operand
    b: Operand
    transpose_a: Flag
    transpose_b: Flag
    result: Result

    @classmethod
    def build(
        cls,
        a: ir.Value,
        b: ir.Value,
        *,
        transpose_a: bool = False,
        transpose_b: bool = False,
        element_type: ir.Type | None = None,
    ) -> ir.Value:
        """Multiplies matrices; `element_type` f32 keeps the sum of short floats."""
        return cls.contract(
            [a, b], element_type, transpose_a=transpose_a, transpose_b=transpose_b
        )

    @classmethod
    def infer(
        cls,
        a: ir.RankedTensorType,
        b: ir.RankedTensorType,
        *,
        transpose_a: bool,
        transpose_b: bool,
    ) -> list[ir.Type]:
        """[…, m, n] of the type that products accumulate to."""
        require(
            a.rank >= 2 and b.rank >= 2,
            lambda: (
                f"operands must have at least two axes, got {a} and {b}; reshape them"
            ),
        )
        m, k_a = a.shape[-2:][::-1] if transpose_a else a.shape[-2:]
        k_b, n = b.shape[-2:][::-1] if transpose_b else b.shape[-2:]
        require(
            dim_sizes_agree(k_a, k_b),
            lambda: (
                f"contracted sizes must be equal, got {k_a} and {k_b} of {a} and {b}"
            ),
        )
        batch = broadcast_shapes([a.shape[:-2], b.shape[:-2]])
        return [tensor_type([*batch, m, n], product_type(a, b))]


class DotGeneralOp(ContractionOp, name="dot_general"):
    """Sums products over any axes: result[batch, free of a, free of b].

    a, b:                    tensors of one element type (i4, i8 and ui8 may mix)
    batch_a, batch_b:        axes that pair up and stay
    contract_a, contract_b:  axes that pair up and are summed over
    result:                  batch axes, then the free ones of a, then of b, in order
    """

    a: Operand
    b: Operand
    batch_a: Ints
    batch_b: Ints
    contract_a: Ints
    contract_b: Ints
    result: Result

    @classmethod
    def build(
        cls,
        a: ir.Value,
        b: ir.Value,
        *,
        batch_a: Sequence[int] = (),
        batch_b: Sequence[int] = (),
        contract_a: Sequence[int],
        contract_b: Sequence[int],
        element_type: ir.Type | None = None,
    ) -> ir.Value:
        """Contracts pairs of axes; `element_type` as in `MatmulOp.build`."""
        return cls.contract(
            [a, b],
            element_type,
            batch_a=list(batch_a),
            batch_b=list(batch_b),
            contract_a=list(contract_a),
            contract_b=list(contract_b),
        )

    @classmethod
    def infer(
        cls,
        a: ir.RankedTensorType,
        b: ir.RankedTensorType,
        *,
        batch_a: list[int],
        batch_b: list[int],
        contract_a: list[int],
        contract_b: list[int],
    ) -> list[ir.Type]:
        """Batch sizes, then the free sizes of a, then those of b."""
        _require_pairs(a, b, batch_a, batch_b, "batch")
        _require_pairs(a, b, contract_a, contract_b, "contract")
        _require_distinct(batch_a + contract_a, "batch_a and contract_a")
        _require_distinct(batch_b + contract_b, "batch_b and contract_b")
        shape = [a.shape[axis] for axis in batch_a]
        shape += [a.shape[axis] for axis in free_axes(a.rank, batch_a, contract_a)]
        shape += [b.shape[axis] for axis in free_axes(b.rank, batch_b, contract_b)]
        return [tensor_type(shape, product_type(a, b))]


def free_axes(rank: int, batch: Sequence[int], contract: Sequence[int]) -> list[int]:
    """The axes of an operand that are neither batch nor contracted."""
    return [axis for axis in range(rank) if axis not in (*batch, *contract)]


def is_short_float(element_type: ir.Type) -> bool:
    """Whether the element type is a float below 32 bits."""
    return is_float(element_type) and ir.FloatType(element_type).width < 32


def product_type(a: ir.RankedTensorType, b: ir.RankedTensorType) -> ir.Type:
    """The element type of a sum of products of elements of a and b.

    Raises:
        ShapeError: The element types do not multiply.
    """
    first, second = a.element_type, b.element_type
    if _is_short_integer(first) and _is_short_integer(second):
        return ir.IntegerType.get_signless(32)
    require(
        first == second and not is_bool(first),
        lambda: (
            "operands must have one element type, floats or integers "
            f"(i4, i8 and ui8 may mix), got {a} and {b}; cast them first"
        ),
    )
    return first


def _is_short_integer(element_type: ir.Type) -> bool:
    """Whether the element type is i4, i8 or ui8."""
    return is_integer(element_type) and element_type.width <= 8


def _require_pairs(
    a: ir.RankedTensorType,
    b: ir.RankedTensorType,
    axes_a: list[int],
    axes_b: list[int],
    what: str,
) -> None:
    """Raises unless the axes pair up with equal sizes."""
    require(
        len(axes_a) == len(axes_b),
        lambda: (
            f"{what}_a and {what}_b must have one length, got {axes_a} and {axes_b}"
        ),
    )
    for axis_a, axis_b in zip(axes_a, axes_b, strict=True):
        require_axis(axis_a, a.rank, f"{what}_a")
        require_axis(axis_b, b.rank, f"{what}_b")
        require(
            dim_sizes_agree(a.shape[axis_a], b.shape[axis_b]),
            lambda axis_a=axis_a, axis_b=axis_b: (
                f"{what} axes must have equal sizes, but axis {axis_a} of {a} and axis "
                f"{axis_b} of {b} differ"
            ),
        )


def _require_distinct(axes: list[int], what: str) -> None:
    require(
        len(set(axes)) == len(axes),
        lambda: f"{what} must not repeat an axis, got {axes}",
    )

"""Ops that compute each element on its own: unary, binary, comparison, cast.

Operands broadcast like NumPy. Ops that differ only in their name and function come
from the tables at the end: `exp` is the class `ExpOp`, `floor_div` is `FloorDivOp`.
"""

from collections.abc import Callable
from typing import Any

from ix.dialects.ix.dialect import Choice, IxOp, Operand, Result
from ix.dialects.ix.shapes import (
    broadcast_types,
    is_bool,
    is_float,
    is_integer,
    mlir_type,
    require,
    require_element,
    require_same_elements,
    require_tensors,
    tensor_type,
)
from ix.mlir import ir

ElementTest = Callable[[ir.Type], bool]


def is_number(element_type: ir.Type) -> bool:
    """Whether the element type is a float or an integer; i1 is none."""
    return is_float(element_type) or is_integer(element_type)


def is_bits(element_type: ir.Type) -> bool:
    """Whether the element type is an integer or i1."""
    return is_integer(element_type) or is_bool(element_type)


class UnaryOp(IxOp):
    """result[i] = f(input[i]).

    input:   tensor<… x T>
    result:  the same type
    """

    input: Operand
    result: Result

    accepts = ("floats", is_float)

    @classmethod
    def build(cls, input: ir.Value) -> ir.Value:
        """Applies the op to one tensor."""
        return cls.create([input]).result

    @classmethod
    def infer(cls, input: ir.RankedTensorType) -> list[ir.Type]:
        """The operand's type."""
        kind, accepted = cls.accepts
        require_element(input, kind, accepted(input.element_type))
        return [input]


class UnaryFloatOp(UnaryOp):
    """A function of floats."""


class UnaryNumberOp(UnaryOp):
    """A function of floats and integers."""

    accepts = ("numbers", is_number)


class UnaryPredicateOp(UnaryOp):
    """A test of floats (constant for integers) that gives i1."""

    accepts = ("numbers", is_number)

    @classmethod
    def infer(cls, input: ir.RankedTensorType) -> list[ir.Type]:
        """The operand's shape with i1 elements."""
        super().infer(input)
        return [tensor_type(input.shape, mlir_type("i1"))]


class GeluOp(IxOp, name="gelu"):
    """x · Φ(x), Φ the normal distribution's cumulative function.

    approximate: "none", by erf, −0 at −∞; "tanh", 0.5·x·(1 + tanh(√(2/π)·(x +
        0.044715·x³)))
    """

    input: Operand
    approximate: Choice
    result: Result

    @classmethod
    def build(cls, input: ir.Value, *, approximate: str = "none") -> ir.Value:
        """Applies gelu to a tensor of floats."""
        return cls.create([input], approximate=approximate).result

    @classmethod
    def infer(cls, input: ir.RankedTensorType, *, approximate: str) -> list[ir.Type]:
        """The operand's type."""
        require_element(input, "floats", is_float(input.element_type))
        require(
            approximate in ("none", "tanh"),
            f'approximate must be "none" or "tanh", got "{approximate}"',
        )
        return [input]


class BitwiseNotOp(UnaryOp, name="bitwise_not"):
    """~x: every bit of an integer inverted."""

    accepts = ("integers", is_integer)


class LogicalNotOp(UnaryOp, name="logical_not"):
    """Not x, of i1."""

    accepts = ("i1", is_bool)


class BinaryOp(IxOp):
    """result[i] = f(a[i], b[i]).

    a, b:    tensors of one element type that broadcast
    result:  tensor<broadcast shape x T>
    """

    a: Operand
    b: Operand
    result: Result

    accepts = ("numbers", is_number)

    @classmethod
    def build(cls, a: ir.Value, b: ir.Value) -> ir.Value:
        """Applies the op to two tensors."""
        return cls.create([a, b]).result

    @classmethod
    def infer(cls, a: ir.RankedTensorType, b: ir.RankedTensorType) -> list[ir.Type]:
        """The broadcast shape with the operands' element type."""
        element = require_same_elements([a, b])
        kind, accepted = cls.accepts
        require_element(a, kind, accepted(element))
        return [tensor_type(broadcast_types([a, b]), element)]


class BinaryNumberOp(BinaryOp):
    """A function of two floats or two integers."""


class BinaryFloatOp(BinaryOp):
    """A function of two floats."""

    accepts = ("floats", is_float)


class BitsOp(BinaryOp):
    """A function of the bits of integers or i1."""

    accepts = ("integers or i1", is_bits)


class ShiftOp(BinaryOp):
    """A shift of integers by b ≥ 0 bits; b ≥ width leaves only the sign (or 0)."""

    accepts = ("integers", is_integer)


class ComparisonOp(BinaryOp):
    """A comparison that gives i1; one with NaN is false, but for `ne`."""

    @classmethod
    def infer(cls, a: ir.RankedTensorType, b: ir.RankedTensorType) -> list[ir.Type]:
        """The broadcast shape with i1 elements."""
        require_same_elements([a, b])
        return [tensor_type(broadcast_types([a, b]), mlir_type("i1"))]


class SelectOp(IxOp, name="select"):
    """result[i] = condition[i] ? a[i] : b[i].

    condition:  tensor of i1
    a, b:       tensors of one element type; all three broadcast
    result:     tensor<broadcast shape x T>
    """

    condition: Operand
    a: Operand
    b: Operand
    result: Result

    @classmethod
    def build(cls, condition: ir.Value, a: ir.Value, b: ir.Value) -> ir.Value:
        """Chooses between two tensors element by element."""
        return cls.create([condition, a, b]).result

    @classmethod
    def infer(
        cls,
        condition: ir.RankedTensorType,
        a: ir.RankedTensorType,
        b: ir.RankedTensorType,
    ) -> list[ir.Type]:
        """The broadcast shape with the element type of `a`."""
        require_element(condition, "i1", is_bool(condition.element_type))
        element = require_same_elements([a, b])
        return [tensor_type(broadcast_types([condition, a, b]), element)]


class ClampOp(IxOp, name="clamp"):
    """result[i] = min(max(input[i], low[i]), high[i]); NaN propagates.

    input, low, high:  tensors of one element type that broadcast
    result:            tensor<broadcast shape x T>
    """

    input: Operand
    low: Operand
    high: Operand
    result: Result

    @classmethod
    def build(cls, input: ir.Value, low: ir.Value, high: ir.Value) -> ir.Value:
        """Limits a tensor to low ≤ x ≤ high."""
        return cls.create([input, low, high]).result

    @classmethod
    def infer(
        cls,
        input: ir.RankedTensorType,
        low: ir.RankedTensorType,
        high: ir.RankedTensorType,
    ) -> list[ir.Type]:
        """The broadcast shape with the operands' element type."""
        element = require_same_elements([input, low, high])
        require_element(input, "numbers", is_number(element))
        return [tensor_type(broadcast_types([input, low, high]), element)]


class CastOp(IxOp, name="cast"):
    """Converts each element to another element type.

    float → integer truncates toward zero, saturates and takes NaN to 0; anything →
    i1 is x ≠ 0; integer → integer wraps; float → float rounds to nearest, ties to even.

    input:   tensor<… x T>
    result:  tensor<… x U> of the same shape
    """

    input: Operand
    result: Result

    @classmethod
    def build(cls, input: ir.Value, dtype: Any) -> ir.Value:
        """Converts to `dtype`: an MLIR type, a NumPy dtype or the name of one.

        An input that has the type already is given back.
        """
        element = cls.element_type(dtype)
        if input.type.element_type == element:
            return input
        return cls.create([input], [tensor_type(input.type.shape, element)]).result

    def check(self) -> None:
        """The shapes are the same; the element types are free."""
        source, target = self.input.type, self.result.type
        require_tensors([source, target])
        require(
            list(source.shape) == list(target.shape),
            f"result must have the shape of {source}, got {target}",
        )


UNARY_FLOAT = {
    "exp": "eˣ.",
    "exp2": "2ˣ.",
    "expm1": "eˣ − 1, exact near 0.",
    "log": "Natural logarithm.",
    "log2": "Logarithm to base 2.",
    "log10": "Logarithm to base 10.",
    "log1p": "log(1 + x), exact near 0.",
    "sqrt": "Square root.",
    "rsqrt": "1 / √x.",
    "cbrt": "Cube root, of negative numbers too.",
    "reciprocal": "1 / x.",
    "sin": "Sine of radians.",
    "cos": "Cosine of radians.",
    "tan": "Tangent of radians.",
    "asin": "Arc sine, in radians.",
    "acos": "Arc cosine, in radians.",
    "atan": "Arc tangent, in radians.",
    "sinh": "Hyperbolic sine.",
    "cosh": "Hyperbolic cosine.",
    "tanh": "Hyperbolic tangent.",
    "asinh": "Inverse hyperbolic sine.",
    "acosh": "Inverse hyperbolic cosine.",
    "atanh": "Inverse hyperbolic tangent.",
    "erf": "Error function, 2/√π · ∫₀ˣ e^(−t²) dt.",
    "erfc": "1 − erf(x), exact for large x.",
    "silu": "x · sigmoid(x).",
    "sigmoid": "1 / (1 + e⁻ˣ).",
    "softplus": "log(1 + eˣ).",
}

UNARY_NUMBER = {
    "relu": "max(x, 0); NaN propagates.",
    "neg": "−x; integers wrap.",
    "abs": "|x|; the smallest integer stays.",
    "sign": "−1, 0 or 1; NaN propagates.",
    "ceil": "The smallest whole number ≥ x.",
    "floor": "The largest whole number ≤ x.",
    "round": "The nearest whole number; halves go to the even one.",
    "trunc": "The whole number next to x toward zero.",
}

UNARY_PREDICATE = {
    "isnan": "Whether x is NaN.",
    "isinf": "Whether x is an infinity.",
    "isfinite": "Whether x is neither NaN nor an infinity.",
}

BINARY_NUMBER = {
    "add": "a + b; integers wrap.",
    "sub": "a − b; integers wrap.",
    "mul": "a · b; integers wrap.",
    "div": "a / b; of integers the quotient toward zero, and 0 where b is 0.",
    "floor_div": "⌊a / b⌋; of integers 0 where b is 0.",
    "mod": "The remainder with the sign of b; of integers 0 where b is 0.",
    "fmod": "The remainder with the sign of a; of integers 0 where b is 0.",
    "pow": "aᵇ; of integers by wrapping products, and b < 0 gives trunc(aᵇ), 0⁻ⁿ = 0.",
    "max": "The larger of a and b; NaN propagates.",
    "min": "The smaller of a and b; NaN propagates.",
}

BINARY_FLOAT = {"atan2": "The angle of the point (b, a), in radians."}

BITS = {
    "and": "Bitwise (on i1 logical) and.",
    "or": "Bitwise (on i1 logical) or.",
    "xor": "Bitwise (on i1 logical) exclusive or.",
}

SHIFT = {
    "shift_left": "a · 2ᵇ, wrapping; 0 where b ≥ width.",
    "shift_right": "⌊a / 2ᵇ⌋: arithmetic on signed integers, logical on ui8.",
}

COMPARISON = {
    "eq": "a = b.",
    "ne": "a ≠ b; true with NaN.",
    "lt": "a < b.",
    "le": "a ≤ b.",
    "gt": "a > b.",
    "ge": "a ≥ b.",
}


def _define(base: type[IxOp], table: dict[str, str]) -> None:
    """Makes one op class for each entry: the op's name and what it computes."""
    for name, summary in table.items():
        class_name = "".join(map(str.capitalize, name.split("_"))) + "Op"
        body = {
            "__doc__": f"{summary}\n\n{base.__doc__}",
            "__module__": __name__,
            "__annotations__": {},
        }
        globals()[class_name] = type(base)(class_name, (base,), body, name=name)


_define(UnaryFloatOp, UNARY_FLOAT)
_define(UnaryNumberOp, UNARY_NUMBER)
_define(UnaryPredicateOp, UNARY_PREDICATE)
_define(BinaryNumberOp, BINARY_NUMBER)
_define(BinaryFloatOp, BINARY_FLOAT)
_define(BitsOp, BITS)
_define(ShiftOp, SHIFT)
_define(ComparisonOp, COMPARISON)

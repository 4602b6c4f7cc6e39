"""Powers of integers, without a loop: one squaring for each bit of the exponent."""

from __future__ import annotations

from ix.mlir import arith, ir
from ix.passes.linalg.generic import scalar
from ix.passes.linalg.scalars import compare, select


def integer_power(a: ir.Value, b: ir.Value, unsigned: bool) -> ir.Value:
    """aᵇ by wrapping products; a negative exponent gives trunc(aᵇ), and 0⁻ⁿ is 0.

    With the exponent's bits b = Σ bᵢ·2ⁱ:  aᵇ = Π (a^(2ⁱ))^(bᵢ).
    """
    one, zero = scalar(1, a.type), scalar(0, a.type)
    result, square = one, a
    count = a.type.width if unsigned else a.type.width - 1
    for bit in range(count):
        mask = scalar(1 << bit, a.type)
        chosen = compare("ne", arith.AndIOp(b, mask).result, zero)
        result = select(chosen, arith.MulIOp(result, square).result, result)
        if bit + 1 < count:
            # The select matters: LLVM takes time without end over a chain of squares.
            higher = scalar(-1 << (bit + 1), a.type)
            more = compare("ne", arith.AndIOp(b, higher).result, zero)
            square = select(more, arith.MulIOp(square, square).result, square)
    if unsigned:
        return result
    negative = compare("lt", b, zero)
    return select(negative, _inverse_power(a, b), result)


def _inverse_power(a: ir.Value, b: ir.Value) -> ir.Value:
    """trunc(aᵇ) for b < 0: not zero for 1 and −1 alone."""
    one, zero, minus_one = (scalar(value, a.type) for value in (1, 0, -1))
    odd = compare("ne", arith.AndIOp(b, one).result, zero)
    of_minus_one = select(odd, minus_one, one)
    other = select(compare("eq", a, minus_one), of_minus_one, zero)
    return select(compare("eq", a, one), one, other)

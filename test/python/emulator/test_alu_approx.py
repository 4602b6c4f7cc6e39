"""What the ISA defines by an error bound, against mpmath.

The ALU rounds a float64 result, so it is held to less than the ISA asks for: 0.51 units
in the last place of the result. The bounds of the ISA are 1 to 2 units and more.
"""

import alu_cases
import mpmath
import pytest
from ptx_numbers import FORMATS, NAN, Value, decode, encode

from ix.emulator import alu

UNITS = 0.51
# 1 / √x in float64 is rounded twice: half a unit of √x is up to one of the result, which
# adds half a unit. The ISA states no bound.
UNITS_RSQRT_F64 = 1.51

FUNCTIONS = {
    "rcp": lambda x: 1 / x,
    "sqrt": mpmath.sqrt,
    "rsqrt": lambda x: 1 / mpmath.sqrt(x),
    "sin": mpmath.sin,
    "cos": mpmath.cos,
    "lg2": lambda x: mpmath.log(x, 2),
    "ex2": lambda x: mpmath.power(2, x),
    "tanh": mpmath.tanh,
}
ONE = Value(False, FORMATS["f32"].largest * 0 + 1)
ZERO = Value(False, ONE.magnitude * 0)
INFINITY = decode(0x7F800000, "f32")


def at_edges(opcode: str, x: Value) -> Value | None:
    """The results that the ISA's tables list; None where they list none."""
    if x.is_nan:
        return NAN
    if opcode == "rcp":
        return flipped(x)
    if opcode in ("sqrt", "rsqrt", "lg2"):
        if x.magnitude == 0:
            return {"sqrt": x, "rsqrt": flipped(x), "lg2": -INFINITY}[opcode]
        if x.negative:
            return NAN
        if x.is_infinite:
            return ZERO if opcode == "rsqrt" else x
    if opcode in ("sin", "cos") and x.is_infinite:
        return NAN
    if opcode in ("sin", "tanh") and x.magnitude == 0:
        return x
    if x.is_infinite:
        return {
            "ex2": ZERO if x.negative else x,
            "tanh": Value(x.negative, ONE.magnitude),
        }[opcode]
    return None


def flipped(x: Value) -> Value | None:
    """1 / x of a zero or an infinity."""
    if x.magnitude == 0:
        return Value(x.negative, INFINITY.magnitude)
    return Value(x.negative, ZERO.magnitude) if x.is_infinite else None


def number(x: Value) -> mpmath.mpf:
    magnitude = mpmath.mpf(x.magnitude.numerator) / x.magnitude.denominator
    return -magnitude if x.negative else magnitude


def is_close(
    bits: int, wanted: mpmath.mpf, name: str, ftz: bool, units: float = UNITS
) -> bool:
    """Whether bits are within so many units of the last place of a real number."""
    form = FORMATS[name]
    found = decode(bits, name)
    if found.is_nan:
        return False
    largest = mpmath.mpf(int(form.largest))
    lowest = 1 - form.bias
    if found.is_infinite:
        return abs(wanted) > largest and found.negative == (wanted < 0)
    size = abs(wanted)
    smallest = mpmath.mpf(2) ** lowest
    if ftz and size < smallest:
        return found.magnitude == 0 or size > smallest * (1 - mpmath.mpf(2) ** -8)
    power = max(int(mpmath.floor(mpmath.log(size, 2))) if size else lowest, lowest)
    unit = mpmath.mpf(2) ** (power - form.fraction_bits)
    return abs(number(found) - wanted) <= units * unit


def lanes(bits: int, name: str) -> list[int]:
    return [bits & 0xFFFF, bits >> 16] if name.endswith("x2") else [bits]


def check_one(opcode: str, mods: tuple[str, ...], given: int, found: int) -> None:
    name, ftz = mods[-1], "ftz" in mods
    single = name.removesuffix("x2")
    for x_bits, bits in zip(lanes(given, name), lanes(found, name), strict=True):
        x = decode(x_bits, single, ftz)
        edge = at_edges(opcode, x)
        where = f"{opcode}.{'.'.join(mods)}({x_bits:#x}) = {bits:#x}"
        if edge is not None:
            assert bits == encode(edge, single) or (
                single == "f64" and edge.is_nan and decode(bits, "f64").is_nan
            ), where
        else:
            units = UNITS_RSQRT_F64 if single == "f64" else UNITS
            wanted = FUNCTIONS[opcode](number(x))
            assert is_close(bits, wanted, single, ftz, units), where


@pytest.mark.parametrize("opcode", FUNCTIONS)
def test_approximation(opcode: str) -> None:
    checked = 0
    for mods, inputs in alu_cases.spellings(opcode):
        if "approx" not in mods or mods[-2:] == ("ftz", "f64"):
            continue
        checked += 1
        columns = alu_cases.operands(
            alu.lookup(opcode, mods).sources, 100, ".".join((opcode, *mods))
        )
        (found,) = alu_cases.evaluate(opcode, mods, inputs, columns)
        with mpmath.workprec(200):
            for given, bits in zip(columns[0], found, strict=True):
                check_one(opcode, mods, given, bits)
    assert checked


@pytest.mark.parametrize("opcode", ["rcp", "rsqrt"])
def test_upper_words_of_f64(opcode: str) -> None:
    mods = ("approx", "ftz", "f64")
    columns = alu_cases.operands(("f64",), 200, opcode)
    (found,) = alu_cases.evaluate(opcode, mods, None, columns)
    with mpmath.workprec(200):
        for given, bits in zip(columns[0], found, strict=True):
            assert bits & 0xFFFFFFFF == 0
            x = decode(given >> 32 << 32, "f64", ftz=True)
            edge = at_edges(opcode, x)
            if edge is not None and edge.is_nan:
                assert bits == 0x7FFFFFFF << 32
            elif edge is not None:
                assert bits == encode(edge, "f64")
            else:
                wanted = FUNCTIONS[opcode](number(x))
                result = number(decode(bits, "f64"))
                tiny = abs(wanted) < mpmath.mpf(2) ** -1022
                assert (tiny and result == 0) or abs(result / wanted - 1) < 2.0**-19


@pytest.mark.parametrize("kind", ["approx", "full"])
def test_division(kind: str) -> None:
    for mods, inputs in alu_cases.spellings("div"):
        if kind not in mods:
            continue
        columns = alu_cases.operands(("f32", "f32"), 300, ".".join(mods))
        (found,) = alu_cases.evaluate("div", mods, inputs, columns)
        with mpmath.workprec(200):
            for a, b, bits in zip(*columns, found, strict=True):
                check_division(mods, a, b, bits)


def check_division(mods: tuple[str, ...], a: int, b: int, bits: int) -> None:
    ftz = "ftz" in mods
    x, y = decode(a, "f32", ftz), decode(b, "f32", ftz)
    found = decode(bits, "f32")
    where = f"div.{'.'.join(mods)}({a:#x}, {b:#x}) = {bits:#x}"
    negative = x.negative != y.negative
    both = x.is_infinite and y.is_infinite
    if x.is_nan or y.is_nan or both or (x.magnitude == 0 and y.magnitude == 0):
        assert bits == FORMATS["f32"].canonical, where
    elif mods[0] == "approx" and y.is_finite and y.magnitude > 2**126:
        # Source: PTX ISA, div: the reciprocal of such a number is 0.
        wanted = NAN if x.is_infinite else Value(negative, ZERO.magnitude)
        assert bits == encode(wanted, "f32"), where
    elif x.is_infinite or y.magnitude == 0:
        assert found.is_infinite and found.negative == negative, where
    elif y.is_infinite or x.magnitude == 0:
        assert found.magnitude == 0 and found.negative == negative, where
    else:
        assert is_close(bits, number(x) / number(y), "f32", ftz), where

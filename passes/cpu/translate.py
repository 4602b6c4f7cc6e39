"""LLVM-dialect MLIR → the text of LLVM IR that the LLVM of llvmlite reads.

The bindings translate with a newer LLVM than llvmlite's, which spells floating-point
constants in a way that the older one refuses:

    newer   float f0x3FB8AA3B   +inf   +qnan   +nan(0x1)   +snan(0x1)   1.100000e+00
    older   float 0x3FF7154760000000, always the hexadecimal of the double;
            half 0xH3C66 and bfloat 0xR3F8D, the bits themselves

A constant has the type that was named last before it.
"""

from __future__ import annotations

import functools
import re
from fractions import Fraction
from typing import Any, NamedTuple

from ix.errors import CompileError
from ix.mlir import ir, llvm

__all__ = ["respell_floats", "to_llvm_ir"]


def to_llvm_ir(module: Any) -> str:
    """Translates a module, or a gpu.module, of the LLVM and NVVM dialects.

    Raises:
        CompileError: An op is left that has no translation; the bindings would end
            the process on it.
    """
    _check_translatable(module)
    return respell_floats(llvm.translate_module_to_llvmir(module.operation))


def _check_translatable(module: Any) -> None:
    left: list[Any] = []

    def collect(op: Any) -> ir.WalkResult:
        if not op.name.startswith(("llvm.", "nvvm.")) and op != module.operation:
            left.append(op)
        return ir.WalkResult.ADVANCE

    module.operation.walk(collect, ir.WalkOrder.PRE_ORDER)
    if left:
        names = ", ".join(sorted({op.name for op in left}))
        raise CompileError(
            left[0],
            f"needs to be lowered to the LLVM dialect, but is left after it (left in "
            f"all: {names}); add its conversion before the translation",
        )


class _Format(NamedTuple):
    """A binary floating-point format, and how LLVM spells its constants."""

    prefix: str
    bits: int
    mantissa_bits: int
    min_exponent: int


# Source: LLVM Language Reference, "Simple Constants".
_FORMATS = {
    "half": _Format("0xH", 16, 10, -14),
    "bfloat": _Format("0xR", 16, 7, -126),
    "float": _Format("0x", 32, 23, -126),
    "double": _Format("0x", 64, 52, -1022),
}
_DOUBLE = _FORMATS["double"]

# What may need respelling at all: most lines of a module have none of it.
_SUSPECT = re.compile(r"f0x[0-9A-F]|\de[+-]\d\d|[+-](?:inf|qnan|nan|snan)\b")

# Strings, names, metadata and comments come first: text in them is not a constant.
_TOKEN = re.compile(
    r'"[^"]*"'
    r"|[%@$!#][-\w.$]*"
    r"|;.*"
    r"|(?P<type>\b(?:half|bfloat|float|double|x86_fp80|fp128|ppc_fp128)\b)"
    r"|(?P<decimal>[+-]?\d+\.\d+e[+-]\d+)\b"
    r"|f0x(?P<bits>[0-9A-F]+)\b"
    r"|(?P<sign>[+-])(?P<special>inf|qnan|nan|snan)\b(?:\(0x(?P<payload>[0-9A-F]+)\))?"
)


def respell_floats(text: str) -> str:
    """Spells the floating-point constants of LLVM IR as hexadecimal, exactly.

    Every value keeps its bits: the sign of a zero, denormals, the payload of a NaN.

    Raises:
        CompileError: A constant has a type of more than 64 bits.
    """
    pieces, done = [], 0
    while suspect := _SUSPECT.search(text, done):
        start = text.rfind("\n", 0, suspect.start()) + 1
        end = text.find("\n", suspect.end())
        end = len(text) if end < 0 else end
        pieces += [text[done:start], _respell_line(text[start:end])]
        done = end
    return "".join(pieces) + text[done:]


def _respell_line(line: str) -> str:
    kind = ""

    def respell(match: re.Match[str]) -> str:
        nonlocal kind
        if match["type"]:
            kind = match["type"]
        elif match["decimal"] or match["bits"] or match["special"]:
            if kind not in _FORMATS:
                raise CompileError(
                    None,
                    f"a constant needs one of the types {', '.join(_FORMATS)}, but the "
                    f"line is `{line.strip()}`; compute in double instead",
                )
            return _respell_constant(match[0], kind)
        return match[0]

    return _TOKEN.sub(respell, line)


@functools.lru_cache(maxsize=4096)  # a module repeats the few constants that it has
def _respell_constant(constant: str, kind: str) -> str:
    form, match = _FORMATS[kind], _TOKEN.fullmatch(constant)
    assert match is not None
    bits = _bits_of(match, form)
    if form.bits > 16:
        return f"0x{_widen(bits, form):016X}"
    return f"{form.prefix}{bits:04X}"


def _bits_of(match: re.Match[str], form: _Format) -> int:
    """The encoding of a matched constant in `form`."""
    if match["bits"]:
        return int(match["bits"], 16)
    if match["special"]:
        infinity = (1 << form.bits - 1) - (1 << form.mantissa_bits)
        quiet = 1 << form.mantissa_bits - 1
        payload = int(match["payload"] or "0", 16)
        special = match["special"]
        fraction = 0 if special == "inf" else payload | (quiet * (special != "snan"))
        return (match["sign"] == "-") << form.bits - 1 | infinity | fraction
    digits = match["decimal"]
    magnitude = _encode(Fraction(digits.lstrip("+-")), form)
    return digits.startswith("-") << form.bits - 1 | magnitude


def _encode(value: Fraction, form: _Format) -> int:
    """The encoding of the number nearest to `value` ≥ 0, ties to even."""
    if not value:
        return 0
    exponent = value.numerator.bit_length() - value.denominator.bit_length()
    if value < Fraction(2) ** exponent:
        exponent -= 1
    exponent = max(exponent, form.min_exponent)
    # An integer with its hidden bit: a carry out of it is the next exponent.
    significand = round(value / Fraction(2) ** (exponent - form.mantissa_bits))
    return (exponent - form.min_exponent << form.mantissa_bits) + significand


def _widen(bits: int, form: _Format) -> int:
    """The encoding as a double of the number, infinity or NaN that `bits` encode."""
    if form is _DOUBLE:
        return bits
    sign = bits >> form.bits - 1 << 63
    magnitude = bits & (1 << form.bits - 1) - 1
    exponent = magnitude >> form.mantissa_bits
    fraction = magnitude & (1 << form.mantissa_bits) - 1
    if exponent == (1 << form.bits - 1 - form.mantissa_bits) - 1:
        widened = fraction << _DOUBLE.mantissa_bits - form.mantissa_bits
        return sign | 0x7FF << 52 | widened
    hidden = (exponent > 0) << form.mantissa_bits
    scale = Fraction(2) ** (max(exponent, 1) - 1 + form.min_exponent)
    value = (hidden + fraction) * scale / (1 << form.mantissa_bits)
    return sign | _encode(value, _DOUBLE)

"""Every elementary function: its code, its greatest error, and the math op it expands.

The error of a result is |result − truth| over the ulp of the truth, which is
2^(e − 23) for f32 and 2^(e − 52) for f64 with e = floor(log2 |truth|), e no less than
the exponent of the smallest normal number. A result correctly rounded has at most 0.5.
The tests hold each function to its bound over the whole range of the format.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from ix.passes.cpu.vector_math import (
    activation,
    error_function,
    exponential,
    inverse_trigonometric,
    logarithm,
    power,
    trigonometric,
)
from ix.passes.cpu.vector_math.lanes import Floats

__all__ = ["FUNCTIONS", "Function", "implementation"]


@dataclass(frozen=True)
class Function:
    """What a caller may rely on."""

    name: str
    max_ulp_f32: float
    max_ulp_f64: float
    note: str = ""


_Implementation = Callable[..., Floats]

_ENTRIES: tuple[tuple[_Implementation, Function], ...] = (
    (exponential.exp, Function("exp", 1.25, 1.25)),
    (exponential.exp2, Function("exp2", 1.25, 1.25, "exact for integers")),
    (exponential.expm1, Function("expm1", 1.5, 2.0)),
    (
        exponential.exp_non_positive,
        Function("exp_non_positive", 1.25, 1.25, "x ≤ 0; 0 in place of denormals"),
    ),
    (exponential.sinh, Function("sinh", 1.5, 2.0)),
    (exponential.cosh, Function("cosh", 2.25, 2.25)),
    (exponential.tanh, Function("tanh", 1.75, 1.75)),
    (logarithm.log, Function("log", 1.0, 1.0)),
    (logarithm.log2, Function("log2", 1.25, 1.25, "exact for powers of two")),
    (logarithm.log10, Function("log10", 1.25, 1.25)),
    (logarithm.log1p, Function("log1p", 1.5, 1.5)),
    (logarithm.asinh, Function("asinh", 2.0, 2.0)),
    (logarithm.acosh, Function("acosh", 2.25, 2.5)),
    (logarithm.atanh, Function("atanh", 2.25, 2.5)),
    (error_function.erf, Function("erf", 1.25, 1.25)),
    (error_function.erfc, Function("erfc", 5.25, 6.0, "4.25 for |x| < 1")),
    (trigonometric.sin, Function("sin", 1.75, 1.75, "f64: libm above 2^30")),
    (trigonometric.cos, Function("cos", 1.75, 1.75, "f64: libm above 2^30")),
    (trigonometric.tan, Function("tan", 3.5, 3.5, "f64: libm above 2^30")),
    (inverse_trigonometric.asin, Function("asin", 2.0, 2.25)),
    (inverse_trigonometric.acos, Function("acos", 1.5, 1.5)),
    (inverse_trigonometric.atan, Function("atan", 1.5, 1.75)),
    (inverse_trigonometric.atan2, Function("atan2", 2.0, 2.0)),
    (power.powf, Function("powf", 0.75, 1.5)),
    (power.cbrt, Function("cbrt", 1.0, 1.0)),
    (power.rsqrt, Function("rsqrt", 1.5, 1.5)),
    (
        error_function.gelu_erf,
        Function("gelu_erf", 5.25, 7.0, "3.5 for |x| < 1; −0 for denormals"),
    ),
    (activation.gelu_tanh, Function("gelu_tanh", 3.0, 3.25, "−0 at −∞")),
    (activation.silu, Function("silu", 2.75, 2.75, "−0 at −∞")),
    (activation.sigmoid, Function("sigmoid", 2.5, 2.5)),
    (activation.softplus, Function("softplus", 2.0, 2.0)),
)

FUNCTIONS: Mapping[str, Function] = MappingProxyType(
    {function.name: function for _, function in _ENTRIES}
)

_IMPLEMENTATIONS = {function.name: code for code, function in _ENTRIES}


def implementation(name: str) -> _Implementation:
    """The code of one of `FUNCTIONS`, on `Floats`."""
    return _IMPLEMENTATIONS[name]

"""Elementary functions of f32 and f64 as arith, math and vector ops, for the CPU.

LLVM splits a vector `math.exp` into as many calls of libm; these are polynomials that
stay in registers, in whichever kernel needs them. `FUNCTIONS` states the greatest
error of each; NaN, infinities, signed zeros and denormals are handled in all of them.

    y = expand("math.exp", x)       # what a `math` op stands for, or None
    y = gelu_erf(x)                 # whole functions, cheaper than their parts

Operands are scalars or 1-D vectors, all of one type; ops go to the insertion point.
A lane's result does not depend on the length of the vector. The errors hold on targets
with fma; without it (`cpu:generic`) they are up to 1 ulp more.
"""

from __future__ import annotations

from collections.abc import Callable

from ix.errors import CompileError
from ix.mlir import defining_op, ir
from ix.passes.cpu.vector_math.lanes import Floats
from ix.passes.cpu.vector_math.table import FUNCTIONS, Function, implementation

__all__ = [
    "FUNCTIONS",
    "Function",
    "acos",
    "acosh",
    "asin",
    "asinh",
    "atan",
    "atan2",
    "atanh",
    "cbrt",
    "cos",
    "cosh",
    "erf",
    "erfc",
    "exp",
    "exp2",
    "exp_non_positive",
    "expand",
    "expm1",
    "function",
    "gelu_erf",
    "gelu_tanh",
    "log",
    "log1p",
    "log2",
    "log10",
    "powf",
    "rsqrt",
    "sigmoid",
    "silu",
    "sin",
    "sinh",
    "softplus",
    "tan",
    "tanh",
]


def expand(op_name: str, *operands: ir.Value, **attrs: object) -> ir.Value | None:
    """Emits what a `math` op stands for.

    Args:
        op_name: For example "math.exp".
        operands: Scalars or 1-D vectors of f32 or f64, all of one type.
        attrs: The op's own, of which none changes the result.

    Returns:
        A value of the operands' type; None where there is no expansion for the op or
        for the type, so that the op should stay.
    """
    dialect, _, name = op_name.partition(".")
    if dialect != "math" or name not in FUNCTIONS or not _supported(operands[0].type):
        return None
    return _emit(name, operands)


def _supported(type_: ir.Type) -> bool:
    if isinstance(type_, ir.VectorType):
        if type_.rank != 1 or any(type_.scalable_dims):
            return False
        type_ = type_.element_type
    return isinstance(type_, ir.F32Type | ir.F64Type)


def _emit(name: str, operands: tuple[ir.Value, ...]) -> ir.Value:
    code = implementation(name)
    return code(*(Floats(operand) for operand in operands)).value


def function(name: str) -> Callable[..., ir.Value]:
    """The function `name` on MLIR values."""

    def emit(*operands: ir.Value) -> ir.Value:
        if not _supported(operands[0].type):
            raise CompileError(
                defining_op(operands[0]),
                f"{name} needs scalars or 1-D vectors of f32 or f64, but got "
                f"{operands[0].type}; cast them, or unroll the vector",
            )
        return _emit(name, operands)

    emit.__name__ = name
    emit.__doc__ = implementation(name).__doc__
    return emit


exp = function("exp")
exp2 = function("exp2")
expm1 = function("expm1")
exp_non_positive = function("exp_non_positive")
log = function("log")
log2 = function("log2")
log10 = function("log10")
log1p = function("log1p")
tanh = function("tanh")
sinh = function("sinh")
cosh = function("cosh")
asinh = function("asinh")
acosh = function("acosh")
atanh = function("atanh")
erf = function("erf")
erfc = function("erfc")
sin = function("sin")
cos = function("cos")
tan = function("tan")
asin = function("asin")
acos = function("acos")
atan = function("atan")
atan2 = function("atan2")
powf = function("powf")
cbrt = function("cbrt")
gelu_erf = function("gelu_erf")
gelu_tanh = function("gelu_tanh")
silu = function("silu")
sigmoid = function("sigmoid")
softplus = function("softplus")
rsqrt = function("rsqrt")

"""The guard before translation, and the spelling of floating-point constants."""

import struct

import llvmlite.binding as llvm22
import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ix.errors import CompileError
from ix.mlir import ir
from ix.passes.cpu.translate import respell_floats, to_llvm_ir

FORMATS = {
    "f16": ("half", np.dtype(np.float16), np.uint16),
    "bf16": ("bfloat", np.dtype(ml_dtypes.bfloat16), np.uint16),
    "f32": ("float", np.dtype(np.float32), np.uint32),
    "f64": ("double", np.dtype(np.float64), np.uint64),
}


def translate(source: str) -> str:
    with ir.Context():
        return to_llvm_ir(ir.Module.parse(source))


def global_bits(text: str, name: str, bits: int) -> list[int]:
    """The encodings in an array constant, as LLVM 22 read them."""
    module = llvm22.parse_assembly(text)
    module.verify()
    initializer = str(module.get_global_variable(name)).split("[", 2)[2]
    return [
        _bits(item.split()[1], bits) for item in initializer.split("]")[0].split(",")
    ]


def _bits(constant: str, bits: int) -> int:
    if constant[:3] in ("0xH", "0xR"):
        return int(constant[3:], 16)
    if constant.startswith("0x"):
        double = int(constant, 16)
    else:
        double = struct.unpack("<Q", struct.pack("<d", float(constant)))[0]
    if bits == 64:
        return double
    if double >> 52 & 0x7FF == 0x7FF:
        return double >> 63 << 31 | 0xFF << 23 | (double & (1 << 52) - 1) >> 29
    value = struct.unpack("<d", struct.pack("<Q", double))[0]
    return struct.unpack("<I", struct.pack("<f", value))[0]


def array_module(kind: str, encodings: list[int]) -> str:
    digits = FORMATS[kind][1].itemsize * 2
    items = ", ".join(f"0x{value:0{digits}X}" for value in encodings)
    count = len(encodings)
    return (
        f"llvm.mlir.global constant @g(dense<[{items}]> : tensor<{count}x{kind}>)"
        f" : !llvm.array<{count} x {kind}>"
    )


def special_encodings(kind: str) -> list[int]:
    """Zeros, denormals, extremes, infinities, quiet and signalling NaNs; both signs."""
    bits = FORMATS[kind][1].itemsize * 8
    mantissa = {"f16": 10, "bf16": 7, "f32": 23, "f64": 52}[kind]
    infinity = (1 << bits - 1) - (1 << mantissa)
    quiet = 1 << mantissa - 1
    magnitudes = [0, 1, 2, (1 << mantissa) - 1, 1 << mantissa, infinity - 1, infinity]
    magnitudes += [infinity | quiet, infinity | quiet | 3, infinity | 1, infinity | 5]
    return magnitudes + [value | 1 << bits - 1 for value in magnitudes]


@pytest.mark.parametrize("kind", FORMATS)
def test_special_values_keep_their_bits(kind: str) -> None:
    encodings = special_encodings(kind)
    text = translate(array_module(kind, encodings))
    assert global_bits(text, "g", FORMATS[kind][1].itemsize * 8) == encodings


@pytest.mark.parametrize("kind", ["f16", "bf16"])
def test_every_16_bit_value_keeps_its_bits(kind: str) -> None:
    encodings = list(range(0, 1 << 16, 3))
    assert global_bits(translate(array_module(kind, encodings)), "g", 16) == encodings


@pytest.mark.parametrize("kind", ["f32", "f64"])
def test_random_bits_survive(kind: str) -> None:
    _, dtype, unsigned = FORMATS[kind]
    rng = np.random.default_rng(7)
    raw = rng.integers(0, np.iinfo(unsigned).max, 3000, dtype=unsigned, endpoint=True)
    # Decimals of at most seven digits are printed as decimals, and most of them are
    # not exact: the second half takes that path.
    round_decimals = np.array(
        [float(f"{x:.6e}") for x in rng.lognormal(0, 20, 3000)], dtype
    )
    encodings = [*raw.tolist(), *round_decimals.view(unsigned).tolist()]
    text = translate(array_module(kind, encodings))
    assert global_bits(text, "g", dtype.itemsize * 8) == encodings


@settings(max_examples=200, deadline=None)
@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_decimals_round_to_the_nearest(value: float) -> None:
    spelled = respell_floats(f"  ret float {value:.6e}")
    expected = struct.unpack("<f", np.float32(f"{value:.6e}").tobytes())[0]
    double = struct.unpack("<d", int(spelled.split()[-1], 16).to_bytes(8, "little"))[0]
    assert (double, np.signbit(double)) == (expected, np.signbit(expected))


def test_decimal_rounds_once() -> None:
    # Above the midpoint of two floats by less than a double resolves.
    midpoint = "1.00000005960464477539062500000000000000001e+00"
    assert respell_floats(f"float {midpoint}") == "float 0x3FF0000020000000"


PLACES = """
llvm.mlir.global constant @text("float 1.17e-01 +inf f0x3F80000 half ;")
    : !llvm.array<37 x i8>
llvm.mlir.global internal constant @pair() : !llvm.struct<(f32, f64, f16)> {
  %0 = llvm.mlir.undef : !llvm.struct<(f32, f64, f16)>
  %a = llvm.mlir.constant(1.1 : f32) : f32
  %b = llvm.mlir.constant(1.1 : f64) : f64
  %c = llvm.mlir.constant(1.1 : f16) : f16
  %1 = llvm.insertvalue %a, %0[0] : !llvm.struct<(f32, f64, f16)>
  %2 = llvm.insertvalue %b, %1[1] : !llvm.struct<(f32, f64, f16)>
  %3 = llvm.insertvalue %c, %2[2] : !llvm.struct<(f32, f64, f16)>
  llvm.return %3 : !llvm.struct<(f32, f64, f16)>
}
llvm.func @"half.1.5e+00"(f32, f64, f16) -> f32
llvm.func @places(%x: f32, %v: vector<4xf32>, %c: i1, %h: f16, %d: f64, %n: i32,
    %b: vector<8xbf16>) -> f32 attributes {passthrough = [["note", "float 1.3e+00"]]} {
  %k = llvm.mlir.constant(1.1 : f32) : f32
  %zero = llvm.mlir.constant(-0.0 : f32) : f32
  %inf = llvm.mlir.constant(0x7F800000 : f32) : f32
  %nan = llvm.mlir.constant(0xFFC00000 : f32) : f32
  %splat = llvm.mlir.constant(dense<1.3> : vector<4xf32>) : vector<4xf32>
  %mixed = llvm.mlir.constant(dense<[1.3, 0x7F800000, -0.1, 0x7FC00001]> : vector<4xf32>) : vector<4xf32>
  %bsplat = llvm.mlir.constant(dense<1.3> : vector<8xbf16>) : vector<8xbf16>
  %h1 = llvm.mlir.constant(1.1 : f16) : f16
  %d1 = llvm.mlir.constant(1.1 : f64) : f64
  %0 = llvm.fadd %x, %k {fastmathFlags = #llvm.fastmath<contract>} : f32
  %1 = llvm.fadd %v, %splat : vector<4xf32>
  %2 = llvm.fadd %1, %mixed : vector<4xf32>
  %3 = llvm.fadd %b, %bsplat : vector<8xbf16>
  %4 = llvm.select %c, %nan, %inf : i1, f32
  %5 = llvm.fadd %h, %h1 : f16
  %6 = llvm.fcmp "olt" %d, %d1 : f64
  %7 = llvm.fptrunc %d1 : f64 to f32
  %8 = llvm.call @"half.1.5e+00"(%k, %d1, %h1) : (f32, f64, f16) -> f32
  llvm.inline_asm has_side_effects "# float 1.1e+00", "" : () -> ()
  llvm.switch %n : i32, ^a(%k : f32) [1: ^b(%inf : f32), -2: ^a(%4 : f32)]
^a(%p : f32):
  llvm.br ^b(%zero : f32)
^b(%q : f32):
  llvm.return %q : f32
}
"""


def test_constants_in_every_place_are_read_back() -> None:
    text = translate(PLACES)
    module = llvm22.parse_assembly(text)
    module.verify()
    printed = str(module)
    for wanted in (
        r'c"float 1.17e-01 +inf f0x3F80000 half ;"',
        '"note"="float 1.3e+00"',
        '@"half.1.5e+00"(float 0x3FF19999A0000000, double 1.100000e+00, half 0xH3C66)',
        "{ float 0x3FF19999A0000000, double 1.100000e+00, half 0xH3C66 }",
        "fadd contract float %0, 0x3FF19999A0000000",
        "splat (float 0x3FF4CCCCC0000000)",
        "splat (bfloat 0xR3FA6)",
        "<float 0x3FF4CCCCC0000000, float 0x7FF0000000000000,"
        " float 0xBFB99999A0000000, float 0x7FF8000020000000>",
        "float 0xFFF8000000000000, float 0x7FF0000000000000",
        "fcmp olt double %4, 1.100000e+00",
        "[ 0x3FF19999A0000000, %",
        "[ -0.000000e+00, %",
        'asm sideeffect "# float 1.1e+00"',
    ):
        assert wanted in printed, wanted


def test_text_without_constants_is_untouched() -> None:
    text = (
        'define void @f() {\n  ret void ; 1.5e+00 float +inf\n}\n!0 = !{!"float +inf"}'
    )
    assert respell_floats(text) == text


def test_wide_floats_are_refused() -> None:
    with pytest.raises(CompileError, match=r"x86_fp80.*compute in double"):
        translate(
            "llvm.func @f() -> f80 {\n"
            "  %0 = llvm.mlir.constant(1.5 : f80) : f80\n  llvm.return %0 : f80\n}"
        )


@pytest.mark.parametrize(
    ("body", "name"),
    [
        ("%0 = arith.addf %x, %x : f32", "arith.addf"),
        (
            "%0 = builtin.unrealized_conversion_cast %x : f32 to i32",
            "builtin.unrealized_conversion_cast",
        ),
        ("%0 = math.erf %x : f32", "math.erf"),
    ],
)
def test_leftover_op_is_named(body: str, name: str) -> None:
    source = f"llvm.func @f(%x: f32) {{\n  {body}\n  llvm.return\n}}"
    with pytest.raises(CompileError, match=rf"-:2:\d+: error: '{name}' needs to be"):
        translate(source)


def test_nested_modules_and_functions_are_refused() -> None:
    with pytest.raises(CompileError, match=r"'builtin.module' needs to be lowered"):
        translate("module { module @inner { llvm.func @f() { llvm.return } } }")
    with pytest.raises(CompileError, match=r"'func.func'.*func.func, func.return"):
        translate("module { func.func @f() { return } }")

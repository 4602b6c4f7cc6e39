"""Conversions of 16-bit floats for processors that lack the instruction.

LLVM then calls a function of the compiler's run-time library, which a host need not
have; an object that calls one gets its definition from here. Each rounds once, to
nearest even, and quietens NaNs. They are scalar: a kernel converts vectors itself.

Source: the names and types are those of libgcc and of LLVM's compiler-rt.
"""

from __future__ import annotations

__all__ = ["soft_float_ir"]

# %float rounded to bfloat: add just less than half a unit, or half if that is odd.
TO_BFLOAT = """
  %bits = bitcast float %float to i32
  %high = lshr i32 %bits, 16
  %odd = and i32 %high, 1
  %half.unit = add i32 %bits, 32767
  %up = add i32 %half.unit, %odd
  %rounded = lshr i32 %up, 16
  %quiet = or i32 %high, 64
  %is.nan = fcmp uno float %float, %float
  %chosen = select i1 %is.nan, i32 %quiet, i32 %rounded
  %short = trunc i32 %chosen to i16
  %result = bitcast i16 %short to bfloat
  ret bfloat %result
"""

# %float rounded to half. Below 2^-14 an addition of 0.5 aligns the mantissa and
# rounds; from 65520 on, where rounding up would leave the format, it is infinity.
TO_HALF = """
  %bits = bitcast float %float to i32
  %magnitude = and i32 %bits, 2147483647
  %sign = lshr i32 %bits, 16
  %sign.bit = and i32 %sign, 32768
  %absolute = bitcast i32 %magnitude to float
  %aligned = fadd float %absolute, 0.5
  %aligned.bits = bitcast float %aligned to i32
  %denormal = sub i32 %aligned.bits, 1056964608
  %high = lshr i32 %magnitude, 13
  %odd = and i32 %high, 1
  %rebiased = sub i32 %magnitude, 939520001
  %up = add i32 %rebiased, %odd
  %normal = lshr i32 %up, 13
  %payload = and i32 %high, 1023
  %quiet = or i32 %payload, 32256
  %is.small = icmp ult i32 %magnitude, 947912704
  %is.large = icmp uge i32 %magnitude, 1199566848
  %is.nan = icmp ugt i32 %magnitude, 2139095040
  %finite = select i1 %is.small, i32 %denormal, i32 %normal
  %bounded = select i1 %is.large, i32 31744, i32 %finite
  %value = select i1 %is.nan, i32 %quiet, i32 %bounded
  %signed = or i32 %value, %sign.bit
  %short = trunc i32 %signed to i16
  %result = bitcast i16 %short to half
  ret half %result
"""

# %float = %x rounded to odd, so that rounding it again rounds %x once: what was cut
# off stays visible in the last bit.
ROUND_TO_ODD = """
  %near = fptrunc double %x to float
  %back = fpext float %near to double
  %near.bits = bitcast float %near to i32
  %back.long = bitcast double %back to i64
  %x.long = bitcast double %x to i64
  %back.magnitude = and i64 %back.long, 9223372036854775807
  %x.magnitude = and i64 %x.long, 9223372036854775807
  %went.up = icmp ugt i64 %back.magnitude, %x.magnitude
  %one = zext i1 %went.up to i32
  %toward.zero = sub i32 %near.bits, %one
  %inexact = icmp ne i64 %back.magnitude, %x.magnitude
  %last = zext i1 %inexact to i32
  %odd.bits = or i32 %toward.zero, %last
  %odd.float = bitcast i32 %odd.bits to float
  %x.nan = fcmp uno double %x, %x
  %float = select i1 %x.nan, float %near, float %odd.float
"""

# %x as a float. A denormal half becomes normal by subtracting 2^-14 after adding it.
FROM_HALF = """
  %short = bitcast half %x to i16
  %bits = zext i16 %short to i32
  %sign = and i32 %bits, 32768
  %sign.bit = shl i32 %sign, 16
  %magnitude = and i32 %bits, 32767
  %shifted = shl i32 %magnitude, 13
  %normal = add i32 %shifted, 939524096
  %special = add i32 %shifted, 1879048192
  %is.nan = icmp ugt i32 %magnitude, 31744
  %quiet.bit = select i1 %is.nan, i32 4194304, i32 0
  %quiet = or i32 %special, %quiet.bit
  %offset = add i32 %shifted, 947912704
  %offset.float = bitcast i32 %offset to float
  %small = fsub float %offset.float, 0x3F10000000000000
  %small.bits = bitcast float %small to i32
  %is.small = icmp ult i32 %magnitude, 1024
  %is.special = icmp uge i32 %magnitude, 31744
  %finite = select i1 %is.small, i32 %small.bits, i32 %normal
  %value = select i1 %is.special, i32 %quiet, i32 %finite
  %signed = or i32 %value, %sign.bit
  %result = bitcast i32 %signed to float
  ret float %result
"""

FUNCTIONS = {
    "__truncsfbf2": ("bfloat", "float %float", TO_BFLOAT),
    "__truncdfbf2": ("bfloat", "double %x", ROUND_TO_ODD + TO_BFLOAT),
    "__truncsfhf2": ("half", "float %float", TO_HALF),
    "__truncdfhf2": ("half", "double %x", ROUND_TO_ODD + TO_HALF),
    "__extendhfsf2": ("float", "half %x", FROM_HALF),
}


def soft_float_ir(compiled: bytes) -> str:
    """Definitions of the conversions that an object calls, as LLVM IR; often "".

    They are weak, so that several objects may bring their own.
    """
    return "".join(
        f"\ndefine weak_odr hidden {result} @{name}({parameter}) {{{body}}}\n"
        for name, (result, parameter, body) in FUNCTIONS.items()
        if b"\0" + name.encode() + b"\0" in compiled
    )

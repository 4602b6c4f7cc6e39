"""fmod as LLVM IR, exact: the conversion to NVVM calls it where a body has arith.remf.

    x = a · 2^e,  y = b · 2^f,  e ≥ f:    x mod y = (a · 2^(e−f) mod b) · 2^f

a, b are integers, and a · 2^(e−f) mod b is built a few doublings at a time, as many as
a 64-bit integer has room for.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

__all__ = ["with_remainders"]


@dataclass(frozen=True)
class _Format:
    name: str
    type: str
    bits: int
    mantissa: int

    @property
    def infinity(self) -> int:
        """The bits of infinity: exponents of all ones."""
        return ((1 << (self.bits - 1 - self.mantissa)) - 1) << self.mantissa

    @property
    def room(self) -> int:
        """By how much a remainder below 2^(mantissa + 1) may be shifted."""
        return 63 - (self.mantissa + 1)


_FORMATS = (
    _Format("__nv_fmodf", "float", 32, 23),
    _Format("__nv_fmod", "double", 64, 52),
)


def with_remainders(llvm_ir: str) -> str:
    """Gives the declared remainder functions of a module their bodies."""
    for form in _FORMATS:
        declared = re.compile(
            rf"^declare (?:!dbg !\d+ )?{form.type} @{form.name}\(.*$", re.MULTILINE
        )
        if declared.search(llvm_ir):
            text = _without_declared(_definition(form), llvm_ir)
            llvm_ir = declared.sub(lambda _, t=text: t, llvm_ir)
    return llvm_ir


def _without_declared(text: str, llvm_ir: str) -> str:
    """Leaves out what the module declares already: LLVM reads no second declaration."""
    lines = []
    for line in text.split("\n"):
        found = re.match(r"declare .*(@[\w.]+)\(", line)
        if found is None or f" {found[1]}(" not in llvm_ir:
            lines.append(line)
    return "\n".join(lines)


def _definition(f: _Format) -> str:
    wide = f"i{f.bits}"
    magnitude = (1 << (f.bits - 1)) - 1
    low = (1 << f.mantissa) - 1

    def integer(name: str) -> str:
        """The significand and the exponent, at least 1, of the magnitude %{name}."""
        return f"""
  %{name}.field = lshr {wide} %{name}, {f.mantissa}
  %{name}.normal = icmp ne {wide} %{name}.field, 0
  %{name}.fraction = and {wide} %{name}, {low}
  %{name}.full = or {wide} %{name}.fraction, {low + 1}
  %{name}.short = select i1 %{name}.normal, {wide} %{name}.full, {wide} %{name}.fraction
  %{name}.exponent = call {wide} @llvm.umax.{wide}({wide} %{name}.field, {wide} 1)
  %{name}.significand = {_to_i64(f, f"%{name}.short")}"""

    return f"""
declare {wide} @llvm.umax.{wide}({wide}, {wide})
declare {wide} @llvm.umin.{wide}({wide}, {wide})
declare i64 @llvm.ctlz.i64(i64, i1 immarg)

define internal {f.type} @{f.name}({f.type} %x, {f.type} %y) {{
entry:
  %x.bits = bitcast {f.type} %x to {wide}
  %y.bits = bitcast {f.type} %y to {wide}
  %a = and {wide} %x.bits, {magnitude}
  %b = and {wide} %y.bits, {magnitude}
  %sign = xor {wide} %x.bits, %a
  %zero = icmp eq {wide} %b, 0
  %infinite = icmp uge {wide} %a, {f.infinity}
  %nan = icmp ugt {wide} %b, {f.infinity}
  %some = or i1 %zero, %infinite
  %invalid = or i1 %some, %nan
  br i1 %invalid, label %undefined, label %defined
undefined:
  %product = fmul {f.type} %x, %y
  %quotient = fdiv {f.type} %product, %product
  ret {f.type} %quotient
defined:
  %below = icmp ult {wide} %a, %b
  br i1 %below, label %unchanged, label %divide
unchanged:
  ret {f.type} %x
divide:{integer("a")}{integer("b")}
  %first = urem i64 %a.significand, %b.significand
  %steps = sub {wide} %a.exponent, %b.exponent
  br label %head
head:
  %rest = phi i64 [ %first, %divide ], [ %next, %step ]
  %left = phi {wide} [ %steps, %divide ], [ %fewer, %step ]
  %done = icmp eq {wide} %left, 0
  br i1 %done, label %finish, label %step
step:
  %some.steps = call {wide} @llvm.umin.{wide}({wide} %left, {wide} {f.room})
  %shift = {_to_i64(f, "%some.steps")}
  %shifted = shl i64 %rest, %shift
  %next = urem i64 %shifted, %b.significand
  %fewer = sub {wide} %left, %some.steps
  br label %head
finish:
  %leading = call i64 @llvm.ctlz.i64(i64 %rest, i1 false)
  %wanted = sub i64 %leading, {63 - f.mantissa}
  %wanted.here = {_from_i64(f, "%wanted")}
  %allowed = sub {wide} %b.exponent, 1
  %up = call {wide} @llvm.umin.{wide}({wide} %wanted.here, {wide} %allowed)
  %rest.here = {_from_i64(f, "%rest")}
  %moved = shl {wide} %rest.here, %up
  %field = sub {wide} %allowed, %up
  %field.up = shl {wide} %field, {f.mantissa}
  %sum = add {wide} %field.up, %moved
  %empty = icmp eq i64 %rest, 0
  %value = select i1 %empty, {wide} 0, {wide} %sum
  %signed = or {wide} %value, %sign
  %result = bitcast {wide} %signed to {f.type}
  ret {f.type} %result
}}
"""


def _to_i64(f: _Format, value: str) -> str:
    if f.bits == 64:
        return f"or i64 {value}, 0"
    return f"zext i{f.bits} {value} to i64"


def _from_i64(f: _Format, value: str) -> str:
    if f.bits == 64:
        return f"or i64 {value}, 0"
    return f"trunc i64 {value} to i{f.bits}"

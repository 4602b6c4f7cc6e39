"""Comparison and choice: setp, set, selp, slct, testp."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np

from ix.emulator.alu_form import Array, Form, Operation, Words
from ix.emulator.alu_packed import lanes_of
from ix.emulator.alu_rounding import bf16_to_f32, flush_bf16, flusher
from ix.emulator.ptx_types import dtype_of

__all__ = ["FORMS"]

Comparison = Callable[[Any, Any], Any]

# NumPy compares as IEEE 754 does: with a NaN all but not_equal are False.
_ORDERED: Final[dict[str, Comparison]] = {
    "eq": np.equal,
    "lt": np.less,
    "le": np.less_equal,
    "gt": np.greater,
    "ge": np.greater_equal,
    "lo": np.less,
    "ls": np.less_equal,
    "hi": np.greater,
    "hs": np.greater_equal,
}

_COMBINE: Final[dict[str, Comparison]] = {
    "and": np.logical_and,
    "or": np.logical_or,
    "xor": np.logical_xor,
}


def _unordered(a: Array, b: Array) -> Any:
    return np.isnan(a) | np.isnan(b)


def _comparison(name: str, is_float: bool) -> Comparison:
    """The comparison of a name, on floats or integers."""
    if name in _ORDERED:
        return _ORDERED[name]
    if name == "ne":
        # `ne` of floats is ordered: False with a NaN.
        return (lambda a, b: (a < b) | (a > b)) if is_float else np.not_equal
    if name == "nan":
        return _unordered
    if name == "num":
        return lambda a, b: ~_unordered(a, b)
    if name == "neu":
        return np.not_equal
    ordered = _ORDERED[name[:-1]]
    return lambda a, b: ordered(a, b) | _unordered(a, b)


def _reader(name: str, ftz: bool) -> Callable[[Array], Array]:
    """Makes values of a type comparable by NumPy; packed ones become their lanes."""
    if name in ("f16x2", "bf16x2"):
        lane = np.dtype(np.float16 if name == "f16x2" else np.uint16)
        element = _reader(name[:-2], ftz)
        return lambda values: element(lanes_of(values, lane))
    if name == "bf16":
        return lambda bits: bf16_to_f32(flush_bf16(bits) if ftz else bits)
    if name in ("f16", "f32") and ftz:
        return flusher(name)
    return lambda values: values


def _compared(words: Words) -> Comparison:
    """The comparison that an instruction names, of values as they are in registers."""
    name = words["type"]
    read = _reader(name, bool(words.get("ftz")))
    compare = _comparison(words["compare"], "f" in name)
    return lambda a, b: compare(read(a), read(b))


def _set_predicate(words: Words) -> Operation:
    name, boolean = words["type"], words["boolean"]
    compare = _compared(words)

    def plain(a: Array, b: Array) -> Any:
        p = compare(a, b)
        return p, ~p

    def combined(a: Array, b: Array, c: Array) -> Any:
        p = compare(a, b)
        return _COMBINE[boolean](p, c), _COMBINE[boolean](~p, c)

    sources = (name, name) + ("pred",) * bool(boolean)
    return Operation(sources, ("pred", "pred"), combined if boolean else plain)


def _set_predicate_half(words: Words) -> Operation:
    """A comparison of f16 or bf16, which has no q."""
    both = _set_predicate(words)
    return Operation(both.sources, ("pred",), lambda *x: both.function(*x)[0])


def _set_predicate_x2(words: Words) -> Operation:
    """Compares both halves: p is for the lower, q for the upper."""
    name, boolean = words["type"], words["boolean"]
    compare = _compared(words)

    def halves(a: Array, b: Array) -> Any:
        # A scalar operand is compared with every thread's halves.
        a, b = np.broadcast_arrays(np.atleast_1d(a), b)
        both = compare(a, b).reshape(-1, 2)
        return both[:, 0], both[:, 1]

    def combined(a: Array, b: Array, c: Array) -> Any:
        return tuple(_COMBINE[boolean](p, c) for p in halves(a, b))

    sources = (name, name) + ("pred",) * bool(boolean)
    return Operation(sources, ("pred", "pred"), combined if boolean else halves)


# What `set` writes for True.
_TRUE: Final[dict[str, Any]] = {
    "u32": np.uint32(0xFFFFFFFF),
    "s32": np.int32(-1),
    "u16": np.uint16(0xFFFF),
    "s16": np.int16(-1),
    "f32": np.float32(1),
    "f16": np.float16(1),
    "bf16": np.uint16(0x3F80),
}


def _set(words: Words) -> Operation:
    name, result, boolean = words["type"], words["result"], words["boolean"]
    compare, true = _compared(words), _TRUE[result]

    def choose(a: Array, b: Array, *c: Array) -> Any:
        p = compare(a, b)
        for predicate in c:
            p = _COMBINE[boolean](p, predicate)
        return np.where(p, true, true.dtype.type(0))

    sources = (name, name) + ("pred",) * bool(boolean)
    return Operation(sources, (result,), choose)


def _set_x2(words: Words) -> Operation:
    name, result, boolean = words["type"], words["result"], words["boolean"]
    compare = _compared(words)
    lane = result[:-2] if result.endswith("x2") else "u16"
    true = _TRUE[lane]

    def choose(a: Array, b: Array, *c: Array) -> Any:
        a, b = np.broadcast_arrays(np.atleast_1d(a), b)
        p = compare(a, b).reshape(-1, 2)
        for predicate in c:
            p = _COMBINE[boolean](p, np.reshape(predicate, (-1, 1)))
        chosen = np.where(p, true, true.dtype.type(0))
        return np.ascontiguousarray(chosen).view(dtype_of(result))[:, 0]

    sources = (name, name) + ("pred",) * bool(boolean)
    return Operation(sources, (result,), choose)


def _select(words: Words) -> Operation:
    name = words["type"]
    return Operation((name, name, "pred"), (name,), lambda a, b, p: np.where(p, a, b))


def _select_by_sign(words: Words) -> Operation:
    """a where c ≥ 0 (also -0), else b; a NaN is not ≥ 0."""
    name, kind = words["type"], words["by"]
    flush = flusher("f32") if words.get("ftz") else None

    def select(a: Array, b: Array, c: Array) -> Any:
        return np.where((flush(c) if flush else c) >= 0, a, b)

    return Operation((name, name, kind), (name,), select)


def _test(words: Words) -> Operation:
    name = words["type"]
    tiny = np.finfo(np.float64 if name == "f64" else np.float32).smallest_normal

    def is_subnormal(a: Array) -> Any:
        return (a != 0) & (np.abs(a) < tiny)

    tests: dict[str, Callable[[Array], Any]] = {
        "finite": np.isfinite,
        "infinite": np.isinf,
        "number": lambda a: ~np.isnan(a),
        "notanumber": np.isnan,
        "normal": lambda a: np.isfinite(a) & ~is_subnormal(a),
        "subnormal": is_subnormal,
    }
    return Operation((name,), ("pred",), tests[words["test"]])


_EQUAL: Final = "eq|ne"
_SIGNED: Final = f"{_EQUAL}|lt|le|gt|ge"
_UNSIGNED: Final = f"{_SIGNED}|lo|ls|hi|hs"
_FLOAT: Final = f"{_SIGNED}|equ|neu|ltu|leu|gtu|geu|num|nan"

# (comparisons, types, whether they take .ftz)
_COMPARED: Final = (
    (_EQUAL, "b16|b32|b64", ""),
    (_UNSIGNED, "u16|u32|u64", ""),
    (_SIGNED, "s16|s32|s64", ""),
    (_FLOAT, "f32", "[ftz]"),
    (_FLOAT, "f64", ""),
)
# bf16 results take no .ftz.
_WITHOUT_FTZ: Final = tuple((names, types, "") for names, types, _ in _COMPARED)
_HALVES: Final = ((_FLOAT, "f16", "[ftz]"), (_FLOAT, "bf16", ""))
_PAIRS: Final = ((_FLOAT, "f16x2", "[ftz]"), (_FLOAT, "bf16x2", ""))


def _lines(
    opcode: str,
    compared: tuple[tuple[str, str, str], ...],
    result: str,
    make: Callable[[Words], Operation],
) -> tuple[Form, ...]:
    return tuple(
        Form(
            opcode,
            f"compare={names} [boolean=and|or|xor] {ftz} {result} type={types}",
            make,
        )
        for names, types, ftz in compared
    )


_ANY: Final = "type=b16|b32|b64|u16|u32|u64|s16|s32|s64|f32|f64"

FORMS: Final = (
    *_lines("setp", _COMPARED, "", _set_predicate),
    *_lines("setp", _HALVES, "", _set_predicate_half),
    *_lines("setp", _PAIRS, "", _set_predicate_x2),
    *_lines("set", _COMPARED, "result=u32|s32|f32", _set),
    *_lines("set", _COMPARED, "result=f16", _set),
    *_lines("set", (*_WITHOUT_FTZ, *_HALVES[1:]), "result=bf16", _set),
    *_lines("set", ((_FLOAT, "f16", ""),), "result=bf16", _set),
    *_lines("set", _HALVES[:1], "result=u16|s16|u32|s32|f16", _set),
    *_lines("set", _HALVES[1:], "result=u16|s16|u32|s32", _set),
    *_lines("set", _PAIRS[:1], "result=f16x2|u32|s32", _set_x2),
    *_lines("set", _PAIRS[1:], "result=bf16x2|u32|s32", _set_x2),
    Form("selp", _ANY, _select),
    Form("slct", f"{_ANY} by=s32", _select_by_sign),
    Form("slct", f"[ftz] {_ANY} by=f32", _select_by_sign),
    Form(
        "testp",
        "test=finite|infinite|number|notanumber|normal|subnormal type=f32|f64",
        _test,
    ),
)

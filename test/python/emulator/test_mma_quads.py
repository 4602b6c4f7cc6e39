"""mma.m8n8k4 of f16, against the ISA's formulas lane by lane."""

import itertools

import numpy as np
import pytest
from ptx_runner import count, run

from ix.emulator.errors import UnsupportedInstruction

DECLARED = ".reg .b32 %a<2>; .reg .b32 %b<2>; .reg .b32 %s<8>; .reg .b32 %e<8>;"


def registers(prefix, number):
    return "{" + ", ".join(f"%{prefix}{i}" for i in range(number)) + "}"


def moves(operation, pointer, prefix, number):
    """Loads or stores the registers of a lane, row `lane` of an array."""
    lines = [f"mad.wide.u32 %rd9, %t, {4 * number}, {pointer};"]
    for i in range(number):
        name, place = f"%{prefix}{i}", f"[%rd9+{4 * i}]"
        operands = (name, place) if operation == "ld" else (place, name)
        lines.append(f"{operation}.global.b32 {', '.join(operands)};")
    return "\n".join(lines)


def execute(layouts, d_kind, c_kind, a, b, c):
    """Runs one mma; D as [32, 8] numbers of its lanes."""
    sizes = {"f16": 4, "f32": 8}
    body = "\n".join([
        DECLARED,
        moves("ld", "%in0", "a", 2), moves("ld", "%in1", "b", 2),
        moves("ld", "%in2", "s", sizes[c_kind]),
        f"mma.sync.aligned.m8n8k4.{layouts}.{d_kind}.f16.f16.{c_kind} "
        f"{registers('e', sizes[d_kind])}, {registers('a', 2)}, {registers('b', 2)}, "
        f"{registers('s', sizes[c_kind])};",
        moves("st", "%out", "e", sizes[d_kind]),
    ])  # fmt: skip
    inputs = [np.ascontiguousarray(x).view(np.uint32) for x in (a, b, c)]
    found = run(body, inputs, count=32 * sizes[d_kind])
    return found.view(np.float32 if d_kind == "f32" else np.float16).reshape(32, 8)


def place_a(lane, i, layout):
    high = 0 if lane < 16 else 4
    return (lane % 4 + high, i) if layout == "row" else (i % 4 + high, lane % 4)


def place_b(lane, i, layout):
    high = 0 if lane < 16 else 4
    return (lane % 4, i + high) if layout == "row" else (i, lane % 4 + high)


def place_c(lane, i, kind):
    high = 0 if lane < 16 else 4
    if kind == "f16":
        return lane % 4 + high, i
    return (lane & 1) + (i & 2) + high, (i & 4) + (lane & 2) + (i & 1)


def gather(values, place, layout, shape):
    """Four matrices from what the lanes hold."""
    matrices = np.full((4, *shape), np.nan)
    for lane, i in itertools.product(range(32), range(values.shape[1])):
        matrices[lane % 16 // 4][place(lane, i, layout)] = values[lane, i]
    assert not np.isnan(matrices).any()
    return matrices


@pytest.mark.parametrize(
    "kinds", [("f32", "f32"), ("f16", "f16"), ("f32", "f16")], ids=str
)
@pytest.mark.parametrize("layouts", ["row.col", "row.row", "col.col", "col.row"])
def test_four_products(layouts, kinds):
    random = np.random.default_rng()
    d_kind, c_kind = kinds
    a, b = (random.standard_normal((32, 4)).astype(np.float16) for _ in range(2))
    c_type = np.float32 if c_kind == "f32" else np.float16
    c = random.standard_normal((32, 8)).astype(c_type)
    got = gather(execute(layouts, *kinds, a, b, c), place_c, d_kind, (8, 8))
    rows, columns = layouts.split(".")
    left = gather(a, place_a, rows, (8, 4))
    right = gather(b, place_b, columns, (4, 8))
    start = gather(c, place_c, c_kind, (8, 8))
    want = left @ right + start
    size = np.abs(left) @ np.abs(right) + np.abs(start)
    assert (
        np.abs(got - want) <= (2.0**-21 if d_kind == "f32" else 2.0**-10) * size
    ).all()


def test_f32_is_not_summed_into_f16():
    zeros = np.zeros((32, 2), np.uint32)
    with pytest.raises(UnsupportedInstruction, match="sums f32 into f16"):
        execute("row.col", "f16", "f32", zeros, zeros, np.zeros((32, 8), np.uint32))


def test_four_products_are_counted():
    body = f"""{DECLARED} mov.b32 %a0, 0; mov.b32 %a1, 0;
        mma.sync.aligned.m8n8k4.row.col.f16.f16.f16.f16 {registers("e", 4)},
        {{%a0, %a1}}, {{%a0, %a1}}, {{%a0, %a0, %a0, %a0}};"""
    counters = count(body, block=64)
    assert counters["tensor_operations"] == 2
    assert counters["tensor_flops"] == 2 * 4 * 2 * 8 * 8 * 4

"""Atomic operations against a lane-by-lane reference, with and without conflicts."""

import numpy as np
import pytest
from ptx_runner import run

RNG = np.random.default_rng()
INTEGERS = {"u32": np.uint32, "s32": np.int32, "u64": np.uint64, "s64": np.int64}
FLOATS = {"f32": np.float32, "f64": np.float64}


def step(op, old, value):
    """One atomic operation on NumPy scalars."""
    kind = type(old)
    with np.errstate(over="ignore"):
        return {
            "add": lambda: old + value,
            "min": lambda: min(old, value),
            "max": lambda: max(old, value),
            "and": lambda: old & value,
            "or": lambda: old | value,
            "xor": lambda: old ^ value,
            "exch": lambda: value,
            "inc": lambda: kind(0) if old >= value else kind(old + 1),
            "dec": lambda: value if old == 0 or old > value else kind(old - 1),
        }[op]()


def reference(op, cells, places, values):
    """The values before, in the order of the threads, and the cells behind."""
    cells = cells.copy()
    found = []
    for place, value in zip(places, values, strict=True):
        found.append(cells[place])
        cells[place] = step(op, cells[place], value)
    return np.array(found, cells.dtype), cells


def run_atomic(
    op, type_name, dtype, cells, places, values, *, space="global", red=False
):
    """Old values and cells: cells first in the output, old values behind them."""
    size = np.dtype(dtype).itemsize
    n = len(places)
    register = {4: "%r", 8: "%rd"}[size] if np.dtype(dtype).kind != "f" else None
    register = register or {4: "%f", 8: "%d"}[size]
    base = "%out" if space == "global" else "%rd9"
    copy_in = copy_out = ""
    if space == "shared":
        moves = [
            f"""ld.global.b{8 * size} %rd10, [%out+{size * i}];
            st.shared.b{8 * size} [%rd9+{size * i}], %rd10;"""
            for i in range(len(cells))
        ]
        back = [
            f"""ld.shared.b{8 * size} %rd10, [%rd9+{size * i}];
            st.global.b{8 * size} [%out+{size * i}], %rd10;"""
            for i in range(len(cells))
        ]
        guard = "setp.ne.u32 %p1, %t, 0; @%p1 bra {0}; {1} {0}: bar.sync 0;"
        copy_in = "mov.u64 %rd9, cells;" + guard.format("IN", " ".join(moves))
        copy_out = "bar.sync 0;" + guard.format("BACK", " ".join(back))
    instruction = (
        f"red.{space}.{op}.{type_name} [%rd3], {register}1;"
        if red
        else f"atom.{space}.{op}.{type_name} {register}2, [%rd3], {register}1;"
    )
    store = (
        ""
        if red
        else f"""mad.wide.u32 %rd4, %t, {size}, %out;
        st.global.b{8 * size} [%rd4+{size * len(cells)}], {register}2;"""
    )
    initial = np.concatenate((cells, np.zeros(n, dtype)))
    got = run(
        f"""{copy_in}
        mad.wide.u32 %rd1, %t, 4, %in0;
        ld.global.u32 %r10, [%rd1];
        mad.wide.u32 %rd3, %r10, {size}, {base};
        mad.wide.u32 %rd2, %t, {size}, %in1;
        ld.global.b{8 * size} {register}1, [%rd2];
        {instruction}
        {store}
        {copy_out}""",
        [places.astype(np.uint32), values],
        module=".shared .align 8 .b8 cells[64];",
        block=n,
        out=dtype,
        count=len(cells) + n,
        initial=initial,
    )
    return got[len(cells) :], got[: len(cells)]


@pytest.mark.parametrize("spread", [1, 3, 8])
@pytest.mark.parametrize("space", ["global", "shared"])
@pytest.mark.parametrize(
    "op", ["add", "min", "max", "and", "or", "xor", "exch", "inc", "dec"]
)
def test_unsigned_operations_return_what_they_found(op, space, spread):
    cells = RNG.integers(0, 50, 8, dtype=np.uint32)
    places = RNG.integers(0, spread, 64)
    values = RNG.integers(0, 50, 64, dtype=np.uint32)
    type_name = "b32" if op in ("and", "or", "xor", "exch") else "u32"
    old, after = run_atomic(
        op, type_name, np.uint32, cells, places, values, space=space
    )
    expected_old, expected = reference(op, cells, places, values)
    assert (after == expected).all()
    assert (old == expected_old).all()


@pytest.mark.parametrize("type_name", ["s32", "u64", "s64"])
@pytest.mark.parametrize("op", ["add", "min", "max"])
def test_other_integers(op, type_name):
    dtype = INTEGERS[type_name]
    info = np.iinfo(dtype)
    cells = RNG.integers(info.min, info.max, 4, dtype=dtype)
    places = RNG.integers(0, 4, 32)
    values = RNG.integers(info.min, info.max, 32, dtype=dtype)
    name = "u64" if (op, type_name) == ("add", "s64") else type_name
    old, after = run_atomic(op, name, dtype, cells, places, values)
    expected_old, expected = reference(op, cells, places, values)
    assert (after == expected).all()
    assert (old == expected_old).all()


@pytest.mark.parametrize("type_name", FLOATS)
@pytest.mark.parametrize("spread", [1, 8])
def test_float_sums_go_in_the_order_of_the_threads(type_name, spread):
    dtype = FLOATS[type_name]
    cells = RNG.standard_normal(8).astype(dtype)
    places = RNG.integers(0, spread, 64)
    values = (RNG.standard_normal(64) * 1e3).astype(dtype)
    old, after = run_atomic("add", type_name, dtype, cells, places, values)
    expected_old, expected = reference("add", cells, places, values)
    assert (after == expected).all()
    assert (old == expected_old).all()


def test_reductions_give_nothing_back():
    cells = RNG.integers(0, 9, 4, dtype=np.uint32)
    places = RNG.integers(0, 4, 32)
    values = RNG.integers(0, 9, 32, dtype=np.uint32)
    _, after = run_atomic("add", "u32", np.uint32, cells, places, values, red=True)
    assert (after == reference("add", cells, places, values)[1]).all()


def test_compare_and_swap_lets_one_lane_win():
    got = run(
        """atom.global.cas.b32 %r1, [%in0], 5, %t;
        st.global.u32 [%me], %r1;""",
        [np.array([5], np.uint32)],
    )
    assert got[0] == 5
    assert (got[1:] == 0).all()


def test_packed_halves_are_added_both():
    x = RNG.standard_normal(64).astype(np.float16)
    got = run(
        """mad.wide.u32 %rd1, %t, 4, %in0;
        ld.global.b32 %r1, [%rd1];
        red.global.add.noftz.f16x2 [%out], %r1;""",
        [x],
        out=np.float16,
        count=2,
        initial=np.zeros(2),
    )
    expected = np.zeros(2, np.float16)
    for pair in x.reshape(32, 2):
        expected = expected + pair
    assert (got == expected).all()


def test_a_vector_of_reductions():
    x = RNG.standard_normal(128).astype(np.float32)
    got = run(
        """mad.wide.u32 %rd1, %t, 16, %in0;
        ld.global.v4.f32 {%f1, %f2, %f3, %f4}, [%rd1];
        red.global.add.v4.f32 [%out], {%f1, %f2, %f3, %f4};""",
        [x],
        out=np.float32,
        count=4,
        initial=np.zeros(4),
    )
    expected = np.zeros(4, np.float32)
    for row in x.reshape(32, 4):
        expected = expected + row
    assert (got == expected).all()


def test_generic_atomics_go_to_shared_and_global_memory():
    got = run(
        """setp.eq.u32 %p1, %t, 0;
        @%p1 st.shared.u32 [cell], 100;
        bar.sync 0;
        mov.u32 %r1, cell; cvt.u64.u32 %rd1, %r1; cvta.shared.u64 %rd1, %rd1;
        setp.lt.u32 %p2, %t, 10;
        selp.b64 %rd2, %rd1, %out, %p2;
        atom.add.u32 %r2, [%rd2], 1;
        bar.sync 0;
        ld.shared.u32 %r3, [cell];
        @%p1 st.global.u32 [%out+4], %r3;""",
        module=".shared .align 4 .b8 cell[4];",
        count=2,
        initial=np.zeros(2),
    )
    assert got.tolist() == [22, 110]

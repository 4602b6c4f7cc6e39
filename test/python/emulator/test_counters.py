"""Counters on access patterns whose cost is known."""

import numpy as np
import pytest
from ptx_runner import count, kernel_text, run_text

SHARED = ".shared .align 16 .b8 buffer[16384];"


def global_load(stride, size, register, vector=""):
    """Each lane loads `size` bytes at `stride` · lane."""
    return f"""mad.wide.u32 %rd1, %i, {stride}, %in0;
        ld.global.{vector}b{8 * size // (int(vector[1]) if vector else 1)} {register}, [%rd1];"""


@pytest.mark.parametrize(
    ("stride", "size", "register", "vector", "sectors"),
    [
        (4, 4, "%r1", "", 4),
        (0, 4, "%r1", "", 1),
        (8, 4, "%r1", "", 8),
        (32, 4, "%r1", "", 32),
        (8, 8, "%rd2", "", 8),
        (16, 16, "{%r1, %r2, %r3, %r4}", "v4.", 16),
        (2, 2, "%h1", "", 2),
        (1, 1, "%r1", "", 1),
    ],
)
def test_sectors_of_a_warp(stride, size, register, vector, sectors):
    data = np.zeros(max(64 * stride, 16) // 4 + 4, np.uint32)
    counters = count(
        global_load(stride, size, register, vector), [data], block=64, count=64
    )
    assert counters["global_load_requests"] == 2
    assert counters["global_load_sectors"] == 2 * sectors
    assert counters["global_load_bytes"] == 64 * size


def test_sectors_count_active_lanes_in_any_order():
    counters = count(
        """setp.ge.u32 %p1, %t, 9;
        xor.b32 %r1, %t, 7; mad.wide.u32 %rd1, %r1, 4, %in0;
        @%p1 bra DONE; ld.global.u32 %r2, [%rd1]; DONE: ret;""",
        [np.zeros(64, np.uint32)],
    )
    assert counters["global_load_sectors"] == 2
    assert counters["global_load_bytes"] == 36


def test_an_unaligned_row_touches_one_sector_more():
    counters = count(
        "mad.wide.u32 %rd1, %t, 4, %in0; ld.global.u32 %r1, [%rd1+4];",
        [np.zeros(64, np.uint32)],
    )
    assert counters["global_load_sectors"] == 5


def shared_access(address, size=4, verb="ld"):
    """Lanes access shared memory at an address computed into %r1."""
    register = {2: "%h1", 4: "%r2", 8: "%rd1", 16: "{%r2, %r3, %r4, %r5}"}[size]
    kind = {2: "b16", 4: "b32", 8: "b64", 16: "v4.b32"}[size]
    fill = """mad.lo.u32 %r9, %t, 16, 0;
        FILL: st.shared.v4.b32 [%r9], {%r9, %r9, %r9, %r9};
        add.u32 %r9, %r9, 512; setp.lt.u32 %p9, %r9, 16384; @%p9 bra FILL;
        bar.warp.sync -1;"""
    access = (
        f"ld.shared.{kind} {register}, [%r1];"
        if verb == "ld"
        else f"st.shared.{kind} [%r1], {register};"
    )
    return f"{fill} {address} {access}"


@pytest.mark.parametrize(
    ("address", "size", "wavefronts"),
    [
        ("shl.b32 %r1, %t, 2;", 4, 1),
        ("mov.u32 %r1, 64;", 4, 1),
        ("shl.b32 %r1, %t, 3;", 4, 2),
        ("shl.b32 %r1, %t, 7;", 4, 32),
        ("mul.lo.u32 %r1, %t, 132;", 4, 1),
        ("xor.b32 %r1, %t, 5; shl.b32 %r1, %r1, 2;", 4, 1),
        ("shl.b32 %r1, %t, 1;", 2, 1),
        ("shl.b32 %r1, %t, 3;", 8, 2),
        ("shl.b32 %r1, %t, 4;", 16, 4),
        ("shl.b32 %r1, %t, 4;", 8, 4),
        ("shl.b32 %r1, %t, 7;", 16, 32),
        ("and.b32 %r1, %t, 7; shl.b32 %r1, %r1, 4;", 16, 4),
    ],
)
def test_wavefronts_of_a_warp(address, size, wavefronts):
    phases = {8: 2, 16: 4}.get(size, 1)
    loads = count(shared_access(address, size), module=SHARED)
    assert loads["shared_load_requests"] == 1
    assert loads["shared_load_wavefronts"] == wavefronts
    assert loads["shared_load_conflicts"] == wavefronts - phases
    assert loads["shared_load_bytes"] == 32 * size


def test_instructions_are_counted_by_warp_thread_and_class():
    counters = count(
        """mov.f32 %f1, 0f3F800000;
        fma.rn.f32 %f2, %f1, %f1, %f1;
        setp.lt.u32 %p1, %t, 4;
        @%p1 add.rn.f32 %f2, %f2, %f1;
        ex2.approx.f32 %f3, %f2;
        bar.sync 0;""",
        block=64,
        count=64,
    )
    assert counters["flops"] == 64 * 2 + 4 + 64
    assert counters["barriers"] == 2
    # Prologue: one load and three moves or sums, then the return.
    totals = counters.as_dict()
    assert totals["instructions_float"] == 4
    assert totals["instructions_special_function"] == 2
    assert totals["instructions_compare"] == 2
    assert totals["instructions_barrier"] == 2
    classes = {k: v for k, v in totals.items() if k.startswith("instructions_")}
    assert sum(classes.values()) == counters["warp_instructions"]
    add = next(line for line in counters.lines if "add.rn" in line.text)
    assert add.amounts["warp_instructions"] == 2
    assert add.amounts["thread_instructions"] == 4


def test_lines_name_the_source_and_add_up():
    text = kernel_text(
        "mad.wide.u32 %rd1, %i, 4, %in0; .loc 1 3 7\n ld.global.u32 %r1, [%rd1];"
        "\n.loc 1 4 1\n st.global.u32 [%me], %r1;",
        1,
        32,
        module='.file 1 "model.py"',
    )
    x = np.arange(96, dtype=np.uint32)
    _, counters = run_text(text, [x], grid=3, count=96)
    (load,) = (line for line in counters.lines if line.text.startswith("ld.global"))
    assert load.source == "model.py:3:7"
    assert load.amounts["global_load_sectors"] == 12
    assert counters["global_load_sectors"] == 12
    assert counters.global_sectors == counters.ideal_global_sectors == 24
    assert list(counters.as_dict())[:2] == ["warp_instructions", "thread_instructions"]


def test_counting_can_be_left_out():
    text = kernel_text("st.global.u32 [%me], %i;", 0, 32)
    _, counters = run_text(text, counters=False)
    assert counters["global_store_sectors"] == 0
    assert counters["warp_instructions"] > 0


def test_counters_do_not_depend_on_the_schedule_or_the_batches():
    body = shared_access("shl.b32 %r1, %t, 3;") + "st.global.u32 [%me], %r2;"
    text = kernel_text(body, 0, 32, module=SHARED)
    found = [
        run_text(text, grid=9, count=288, **options)[1].totals
        for options in ({}, {"schedule": 4}, {"batch_threads": 64})
    ]
    assert found[0] == found[1] == found[2]


def test_atomics_count_their_lanes():
    counters = count("red.global.add.u32 [%out], 1;", initial=np.zeros(32))
    assert counters["atomics"] == 32
    assert counters["global_atomic_requests"] == 1
    assert counters["global_atomic_sectors"] == 1

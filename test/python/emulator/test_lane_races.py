"""Races between lanes of one warp: planted ones, and order that is none."""

import re

import numpy as np
import pytest
from ptx_runner import run

from ix.emulator.errors import RaceError

SHARED = ".shared .align 128 .b8 buffer[4096]; .shared .align 8 .b64 bar;"
BOTH = pytest.mark.parametrize("schedule", ["lockstep", 0, 3])
REMEDY = r"put bar\.warp\.sync or a barrier between them"

EXCHANGE = """shl.b32 %r1, %t, 2;
    st.shared.u32 [%r1], %i;
    {between}
    xor.b32 %r2, %r1, 4;
    ld.shared.u32 %r3, [%r2];
    st.global.u32 [%me], %r3;"""


def exchange(between, **options):
    return run(EXCHANGE.format(between=between), module=SHARED, **options)


@BOTH
@pytest.mark.parametrize("between", ["bar.warp.sync -1;", "bar.sync 0;"])
def test_what_orders_the_lanes_of_a_warp(between, schedule):
    got = exchange(between, block=64, count=64, schedule=schedule)
    assert (got == np.arange(64) ^ 1).all()


@BOTH
def test_a_dropped_warp_barrier(schedule):
    with pytest.raises(RaceError, match=REMEDY) as info:
        exchange("", schedule=schedule)
    assert re.search(
        r"thread \(0, 0, 0\) .* reads shared memory that lane 1 of warp 0 wrote at line",
        str(info.value),
    )


PASSING = [
    "shfl.sync.idx.b32 %r9, %t, 0, 31, -1;",
    "vote.sync.any.pred %p9, %p8, -1;",
    "redux.sync.add.u32 %r9, %t, -1;",
    "mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 {%f1, %f2, %f3, %f4}, "
    "{%r10, %r11}, {%r12}, {%f1, %f2, %f3, %f4};",
]
SET = "setp.eq.u32 %p8, %t, 0; mov.b32 %r10, 0; mov.b32 %r11, 0; mov.b32 %r12, 0;" + (
    "".join(f"mov.f32 %f{i}, 0f00000000;" for i in range(1, 5))
)


@pytest.mark.parametrize("instruction", PASSING, ids=lambda text: text.split(".")[0])
def test_what_waits_for_all_lanes_orders_no_memory_but_hardware_does(instruction):
    """PTX ISA, "shfl.sync" and others: they make no promise about memory."""
    with pytest.raises(RaceError, match=REMEDY):
        exchange(SET + instruction)
    exchange(SET + instruction, strict=False)
    with pytest.raises(RaceError, match=REMEDY):
        exchange("", strict=False)


@BOTH
def test_barriers_of_some_lanes(schedule):
    """Pairs of lanes exchange: halves of a warp that meet apart are enough."""
    halves = """setp.lt.u32 %p1, %t, 16;
        selp.b32 %r9, 0xffff, 0xffff0000, %p1; bar.warp.sync %r9;"""
    exchange(halves, schedule=schedule)
    across = EXCHANGE.replace("%r1, 4;", "%r1, 64;")
    with pytest.raises(RaceError, match=REMEDY):
        run(across.format(between=halves), module=SHARED, schedule=schedule)


def test_barriers_of_some_lanes_pass_on_what_they_know():
    """0 to 15 meet, then 8 to 23: lanes 16 to 23 may read what lane 0 wrote."""
    body = """setp.eq.u32 %p1, %t, 0; @%p1 st.shared.u32 [buffer], 5;
        setp.lt.u32 %p2, %t, 16; @%p2 bar.warp.sync 0xffff;
        setp.ge.u32 %p3, %t, 8; setp.lt.and.u32 %p3, %t, 24, %p3;
        @%p3 bar.warp.sync 0xffff00;
        setp.eq.u32 %p4, %t, {}; @%p4 ld.shared.u32 %r1, [buffer];"""
    run(body.format(20), module=SHARED)
    with pytest.raises(RaceError, match=r"that lane 0 of warp 0 wrote"):
        run(body.format(24), module=SHARED)


@BOTH
def test_a_lane_that_writes_what_another_has_read(schedule):
    body = """shl.b32 %r1, %t, 2; xor.b32 %r2, %r1, 4;
        st.shared.u32 [%r1], %t;
        bar.warp.sync -1;
        ld.shared.u32 %r3, [%r2];
        {}
        st.shared.u32 [%r1], %r3;"""
    run(body.format("bar.warp.sync -1;"), module=SHARED, schedule=schedule)
    with pytest.raises(RaceError, match=r"that lane \d+ of warp 0 (read|wrote) at"):
        run(body.format(""), module=SHARED, schedule=schedule)


@pytest.mark.parametrize(
    "reads",
    [
        "ld.shared.u32 %r1, [buffer];",  # all lanes, one instruction
        "@%p2 ld.shared.u32 %r1, [buffer]; @%p1 ld.shared.u32 %r1, [buffer];",
    ],
)
def test_a_lane_that_writes_what_several_have_read(reads):
    body = """setp.eq.u32 %p1, %t, 0; setp.eq.u32 %p2, %t, 9;
        @%p1 st.shared.u32 [buffer], 3;
        bar.warp.sync -1;
        {}
        {}
        @%p1 st.shared.u32 [buffer], 4;"""
    run(body.format(reads, "bar.warp.sync -1;"), module=SHARED)
    with pytest.raises(RaceError, match="that other lanes of the warp 0 read at"):
        run(body.format(reads, ""), module=SHARED)


def test_a_lane_may_use_its_own_without_a_barrier():
    run(
        """shl.b32 %r1, %t, 2;
        st.shared.u32 [%r1], %t; ld.shared.u32 %r2, [%r1]; st.shared.u32 [%r1], 5;
        st.global.u32 [%me], %r2; ld.global.u32 %r3, [%me]; st.global.u32 [%me], %r3;
        """,
        module=SHARED,
    )


@pytest.mark.parametrize("space", ["shared", "global"])
def test_lanes_that_write_one_word_must_write_the_same(space):
    where = "buffer" if space == "shared" else "%out"
    run(f"st.{space}.v2.u32 [{where}], {{7, 8}};", module=SHARED)
    with pytest.raises(RaceError, match=r"writes .* that lane 31 of .*warp 0.* wrote"):
        run(f"st.{space}.v2.u32 [{where}], {{7, %t}};", module=SHARED)


def test_global_memory_between_lanes():
    body = """st.global.u32 [%me], %t;
        {}
        xor.b32 %r1, %t, 1; mad.wide.u32 %rd1, %r1, 4, %out;
        ld.global.u32 %r2, [%rd1];"""
    run(body.format("bar.warp.sync -1;"))
    with pytest.raises(RaceError, match="lane 1 of warp 0 of CTA number 0 wrote"):
        run(body.format(""))


@pytest.mark.parametrize("initial", [np.arange(32)])
def test_global_memory_that_another_lane_has_read(initial):
    body = """xor.b32 %r1, %t, 1; mad.wide.u32 %rd1, %r1, 4, %out;
        ld.global.u32 %r2, [%rd1];
        {}
        st.global.u32 [%me], %r2;"""
    run(body.format("bar.warp.sync -1;"), initial=initial)
    with pytest.raises(RaceError, match="lane 1 of warp 0 of CTA number 0 read"):
        run(body.format(""), initial=initial)


def test_atomics_and_plain_accesses_of_lanes():
    body = """setp.eq.u32 %p1, %t, 0; @%p1 st.shared.u32 [buffer], 0;
        {}
        atom.shared.add.u32 %r1, [buffer], 1;"""
    run(body.format("bar.warp.sync -1;"), module=SHARED)
    with pytest.raises(RaceError, match="updates shared memory that lane 0 of warp 0"):
        run(body.format(""), module=SHARED)


def test_a_release_and_an_acquire_order_lanes():
    body = """setp.eq.u32 %p1, %t, 0; setp.eq.u32 %p2, %t, 9;
        @!%p1 bra READER;
        st.shared.u32 [buffer], 5; fence.acq_rel.cta; st.relaxed.cta.global.u32 [%out], 1;
        READER: @!%p2 bra DONE;
        LOOP: ld.{}.cta.global.u32 %r1, [%out]; setp.eq.u32 %p3, %r1, 0; @%p3 bra LOOP;
        ld.shared.u32 %r2, [buffer];
        DONE: ret;"""
    options = {"module": SHARED, "count": 1, "initial": np.zeros(1)}
    run(body.format("acquire"), **options)
    with pytest.raises(RaceError, match="lane 0 of warp 0 wrote"):
        run(body.format("relaxed"), **options)


COPY = """mov.u32 %r1, buffer; shl.b32 %r2, %t, 4; add.u32 %r2, %r1, %r2;
    mad.wide.u32 %rd2, %t, 16, %in0;
    cp.async.ca.shared.global [%r2], [%rd2], 16; cp.async.wait_all;
    {}
    xor.b32 %r2, %r2, {}; ld.shared.u32 %r3, [%r2]; st.global.u32 [%me], %r3;"""


@pytest.mark.parametrize("completion", ["late", "early"])
def test_wait_group_makes_only_the_copies_of_the_own_lane_visible(completion):
    options = {"module": SHARED, "completion": completion}
    data = (np.arange(128, dtype=np.uint32),)
    run(COPY.format("", 0), data, **options)
    run(COPY.format("bar.warp.sync -1;", 16), data, **options)
    with pytest.raises(RaceError, match=r"that a cp\.async of warp 0 wrote"):
        run(COPY.format("", 16), data, **options)


FILL = """mov.u32 %r1, buffer; shl.b32 %r2, %t, 4; add.u32 %r2, %r1, %r2;
st.shared.v4.u32 [%r2], {%t, %t, %t, %t}; setp.eq.u32 %p1, %t, 0;"""
STORE = """fence.proxy.async; bar.warp.sync -1;
@%p1 cp.async.bulk.global.shared::cta.bulk_group [%out], [%r1], 512;
@%p1 cp.async.bulk.commit_group;"""
REUSE = """@%p1 cp.async.bulk.wait_group.read 0; bar.warp.sync -1;
st.shared.u32 [%r2], 7;"""


@pytest.mark.parametrize("part", [FILL + STORE, FILL + STORE + REUSE])
def test_lanes_and_the_bulk_copy_that_one_of_them_issues(part):
    run(part, module=SHARED, count=128)
    head, _, tail = part.rpartition("bar.warp.sync -1;")
    with pytest.raises(RaceError, match="needs an order between accesses"):
        run(head + tail, module=SHARED, count=128)


MATRIX = """and.b32 %r1, %t, 15; shl.b32 %r1, %r1, 4; shl.b32 %r2, %t, 4;
    st.shared.v4.u32 [%r2], {{%t, %t, %t, %t}};
    {}
    ldmatrix.sync.aligned.m8n8.x4.shared.b16 {{%r3, %r4, %r5, %r6}}, [%r2];"""


def test_ldmatrix_reads_for_all_lanes():
    run(MATRIX.format("bar.warp.sync -1;"), module=SHARED)
    with pytest.raises(RaceError, match=r"reads shared memory that lane 0 of warp 0"):
        run(MATRIX.format(""), module=SHARED)

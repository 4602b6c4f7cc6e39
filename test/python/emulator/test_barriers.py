"""Barriers of CTAs, warps and clusters."""

import numpy as np
import pytest
from ptx_runner import run

from ix.emulator.errors import BarrierError, DeadlockError

SCHEDULES = pytest.mark.parametrize("schedule", ["lockstep", 0, 5])
SHARED = ".shared .align 4 .b8 buffer[1024];"


@SCHEDULES
@pytest.mark.parametrize("barrier", ["bar.sync 0;", "barrier.cta.sync.aligned 3, 128;"])
def test_a_barrier_makes_what_others_wrote_visible(schedule, barrier):
    got = run(
        f"""shl.b32 %r1, %t, 2;
        st.shared.u32 [%r1], %i;
        {barrier}
        xor.b32 %r2, %r1, 508;
        ld.shared.u32 %r3, [%r2];
        st.global.u32 [%me], %r3;""",
        module=SHARED,
        block=128,
        grid=4,
        count=512,
        schedule=schedule,
    )
    assert (got.reshape(4, 128) == np.arange(512).reshape(4, 128)[:, ::-1]).all()


@SCHEDULES
def test_producers_arrive_and_consumers_wait(schedule):
    """Warps 0 and 1 write and go on; warps 2 and 3 wait for them on barrier 1."""
    got = run(
        """shl.b32 %r1, %t, 2;
        setp.ge.u32 %p1, %t, 64;
        @%p1 bra CONSUMER;
        add.u32 %r2, %t, 100;
        st.shared.u32 [%r1], %r2;
        bar.arrive 1, 128;
        mov.u32 %r3, 0;
        bra JOIN;
        CONSUMER: bar.sync 1, 128;
        ld.shared.u32 %r3, [%r1+-256];
        JOIN: st.global.u32 [%me], %r3;""",
        module=SHARED,
        block=128,
        count=128,
        schedule=schedule,
    )
    assert (got == [0] * 64 + list(range(100, 164))).all()


@SCHEDULES
@pytest.mark.parametrize(
    ("op", "threshold", "expected"),
    [
        ("popc.u32", 40, 40),
        ("and.pred", 40, 0),
        ("and.pred", 96, 1),
        ("or.pred", 1, 1),
        ("or.pred", 0, 0),
    ],
)
def test_a_barrier_reduces_predicates(schedule, op, threshold, expected):
    target = "%r2" if op.startswith("popc") else "%p2"
    select = "" if op.startswith("popc") else "selp.u32 %r2, 1, 0, %p2;"
    got = run(
        f"""setp.lt.u32 %p1, %t, {threshold};
        bar.red.{op} {target}, 0, %p1;
        {select}
        st.global.u32 [%me], %r2;""",
        block=96,
        count=96,
        schedule=schedule,
    )
    assert (got == expected).all()


def test_a_negated_predicate_of_a_reduction():
    got = run(
        """setp.lt.u32 %p1, %t, 10;
        barrier.cta.red.popc.aligned.u32 %r2, 0, !%p1;
        st.global.u32 [%me], %r2;"""
    )
    assert (got == 22).all()


@SCHEDULES
def test_lanes_meet_at_a_warp_barrier_from_two_paths(schedule):
    got = run(
        """shl.b32 %r1, %t, 2;
        setp.lt.u32 %p1, %t, 16;
        @%p1 bra LOW;
        st.shared.u32 [%r1], %t;
        bar.warp.sync 0xffffffff;
        ld.shared.u32 %r2, [%r1+-64];
        bra JOIN;
        LOW: add.u32 %r3, %t, 50;
        st.shared.u32 [%r1], %r3;
        bar.warp.sync -1;
        ld.shared.u32 %r2, [%r1+64];
        JOIN: st.global.u32 [%me], %r2;""",
        module=SHARED,
        schedule=schedule,
    )
    lanes = np.arange(32)
    assert (got == np.where(lanes < 16, lanes + 16, lanes + 34)).all()


def test_a_warp_counts_as_a_whole_where_lanes_have_exited():
    got = run(
        "bar.sync 1, 64; st.global.u32 [%me], 1;",
        block=45,
        count=45,
        initial=np.zeros(45),
    )
    assert got.sum() == 45


def test_exited_warps_count_at_a_barrier_without_a_count():
    got = run(
        """setp.ge.u32 %p1, %t, 64;
        @%p1 bra LATE;
        bar.sync 0; mov.u32 %r1, 1; st.global.u32 [%me], %r1; ret;
        LATE: exit;""",
        block=96,
        count=96,
        initial=np.zeros(96),
    )
    assert got.sum() == 64


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("bar.sync 0, 48;", "needs one thread count, a multiple of 32, but it is 48"),
        ("bar.sync 16;", "needs a barrier number below 16, but it is 16"),
        (
            """setp.lt.u32 %p1, %t, 32;
            @%p1 bra A; bar.arrive 1, 96; ret; A: bar.sync 1, 64;""",
            "needs one thread count for barrier 1, but",
        ),
        (
            "bar.arrive 1, 96; bar.arrive 1, 96;",
            "needs each thread to arrive once at barrier 1",
        ),
        ("bar.sync 2, 32;", "needs 32 threads at barrier 2, but 64 arrive"),
        ("bar.warp.sync 1;", "needs a mask that names the executing lane"),
        ("barrier.cluster.wait;", "needs an arrival of the thread before"),
        (
            "barrier.cluster.arrive; barrier.cluster.arrive;",
            "needs a wait between two arrivals of a thread",
        ),
        ("setmaxnreg.inc.sync.aligned.u32 260;", "needs 24 to 256 registers"),
    ],
)
def test_a_barrier_that_is_used_wrongly(body, message):
    with pytest.raises(BarrierError) as info:
        run(body, block=64, count=64)
    assert message in str(info.value)


def test_a_barrier_that_too_few_reach():
    with pytest.raises(DeadlockError, match="64 threads wait for barrier 2 of CTA 0"):
        run("bar.sync 2, 96;", block=64, count=64)


@SCHEDULES
def test_a_cluster_meets_at_its_barrier(schedule):
    """Each CTA reads the shared memory of its neighbour in the cluster."""
    got = run(
        """shl.b32 %r1, %t, 2;
        st.shared.u32 [%r1], %i;
        barrier.cluster.arrive.release.aligned;
        barrier.cluster.wait.acquire.aligned;
        mov.u32 %r2, %cluster_ctarank;
        xor.b32 %r3, %r2, 1;
        mapa.shared::cluster.u32 %r4, %r1, %r3;
        ld.shared::cluster.u32 %r5, [%r4];
        cvt.u64.u32 %rd1, %r1;
        cvta.shared.u64 %rd1, %rd1;
        mapa.u64 %rd2, %rd1, %r3;
        ld.u32 %r6, [%rd2];
        getctarank.u64 %r7, %rd2;
        sub.u32 %r6, %r6, %r5;
        sub.u32 %r7, %r7, %r3;
        add.u32 %r5, %r5, %r6; add.u32 %r5, %r5, %r7;
        st.global.u32 [%me], %r5;
        barrier.cluster.arrive; barrier.cluster.wait;""",
        module=SHARED,
        block=64,
        grid=6,
        cluster=(2, 1, 1),
        count=384,
        schedule=schedule,
    )
    expected = np.arange(384).reshape(3, 2, 64)[:, ::-1]
    assert (got.reshape(3, 2, 64) == expected).all()


def test_a_cluster_knows_its_place_in_the_grid():
    got = run(
        """mov.u32 %r1, %cluster_ctarank; mov.u32 %r2, %clusterid.x;
        mov.u32 %r3, %clusterid.y; mov.u32 %r4, %nclusterid.x;
        mov.u32 %r5, %cluster_nctarank; mov.u32 %r6, %cluster_ctaid.y;
        mad.lo.u32 %r2, %r3, %r4, %r2;
        mad.lo.u32 %r1, %r2, %r5, %r1;
        mov.u32 %r7, %ctaid.y; mov.u32 %r8, %nctaid.x;
        mad.lo.u32 %r7, %r7, %r8, %c;
        mad.lo.u32 %r7, %r7, 32, %t; mad.wide.u32 %rd1, %r7, 4, %out;
        mad.lo.u32 %r1, %r1, 10, %r6;
        st.global.u32 [%rd1], %r1;""",
        grid=(4, 4),
        cluster=(2, 2, 1),
        count=512,
    ).reshape(4, 4, 32)
    for y in range(4):
        for x in range(4):
            rank = x % 2 + 2 * (y % 2)
            cluster = x // 2 + 2 * (y // 2)
            assert (got[y, x] == (cluster * 4 + rank) * 10 + y % 2).all()

"""mbarriers: phases, states, transactions, drops, and other CTAs of a cluster."""

import numpy as np
import pytest
from ptx_runner import count, run

from ix.emulator.errors import OutOfBoundsError

SCHEDULES = pytest.mark.parametrize("schedule", ["lockstep", 1, 2])
MODULE = ".shared .align 8 .b64 bar; .shared .align 4 .b8 buffer[1024];"
INIT = """mov.u32 %r1, bar; setp.eq.u32 %p1, %t, 0;
    @%p1 mbarrier.init.shared.b64 [%r1], COUNT; fence.proxy.async; bar.sync 0;"""
WAIT = "mbarrier.try_wait.parity.shared.b64 %p2, [%r1], {}; @!%p2 bra WAIT{};"


@SCHEDULES
def test_a_phase_orders_what_came_before(schedule):
    """Everybody writes, arrives, waits, and reads what its opposite wrote; twice."""
    body = INIT.replace("COUNT", "128")
    body += "shl.b32 %r2, %t, 2; mov.u32 %r3, buffer; add.u32 %r2, %r3, %r2;"
    body += "xor.b32 %r4, %t, 127; shl.b32 %r4, %r4, 2; add.u32 %r4, %r3, %r4;"
    for turn in range(2):
        body += f"""add.u32 %r5, %t, {100 * turn}; st.shared.u32 [%r2], %r5;
            mbarrier.arrive.shared.b64 %rd1, [%r1];
            WAIT{turn}: {WAIT.format(turn, turn)}
            ld.shared.u32 %r6, [%r4]; bar.sync 0;"""
    body += "st.global.u32 [%me], %r6;"
    got = run(body, module=MODULE, block=128, count=128, schedule=schedule)
    assert (got == 227 - np.arange(128)).all()


@SCHEDULES
def test_a_state_waits_for_its_own_phase(schedule):
    got = run(
        INIT.replace("COUNT", "64")
        + """mbarrier.arrive.shared::cta.b64 %rd1, [%r1];
        LOOP: mbarrier.test_wait.shared::cta.b64 %p2, [%r1], %rd1; @!%p2 bra LOOP;
        @%p1 mbarrier.arrive.shared::cta.b64 %rd2, [%r1];
        mbarrier.test_wait.shared::cta.b64 %p3, [%r1], %rd1;
        selp.u32 %r2, 1, 0, %p3; st.global.u32 [%me], %r2;""",
        module=MODULE, block=64, count=64, schedule=schedule,
    )  # fmt: skip
    assert (got == 1).all()


def test_a_test_does_not_wait():
    got = run(
        INIT.replace("COUNT", "2")
        + """mov.u32 %r5, 0; @!%p1 bra DONE;
        mbarrier.arrive.shared.b64 %rd1, [%r1];
        mbarrier.test_wait.parity.shared.b64 %p2, [%r1], 0;
        mbarrier.test_wait.parity.shared.b64 %p3, [%r1], 1;
        mbarrier.pending_count.b64 %r4, %rd1;
        selp.u32 %r5, 1, 0, %p2; @%p3 or.b32 %r5, %r5, 2;
        shl.b32 %r4, %r4, 8; or.b32 %r5, %r5, %r4;
        DONE: st.global.u32 [%me], %r5;""",
        module=MODULE,
    )
    # Phase 0 is open, the phase before it (parity 1) is over; 2 arrivals were pending.
    assert got[0] == 0x202


@pytest.mark.parametrize("completion", ["late", "early"])
def test_bytes_of_copies_complete_a_phase(completion):
    data = np.random.default_rng().integers(0, 2**32, 32, dtype=np.uint32)
    got = run(
        INIT.replace("COUNT", "1")
        + """@%p1 mbarrier.arrive.expect_tx.release.cta.shared::cta.b64 %rd1, [%r1], 128;
        mov.u32 %r3, buffer;
        @%p1 cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes
            [%r3], [%in0], 64, [%r1];
        @%p1 cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes
            [%r3+64], [%in0+64], 64, [%r1];
        WAIT0: """
        + WAIT.format(0, 0)
        + """shl.b32 %r2, %t, 2; add.u32 %r2, %r3, %r2;
        ld.shared.u32 %r4, [%r2]; st.global.u32 [%me], %r4;""",
        (data,),
        module=MODULE.replace(".align 4", ".align 16"),
        completion=completion,
    )
    np.testing.assert_array_equal(got, data)


def test_expected_and_completed_bytes_by_hand():
    got = run(
        INIT.replace("COUNT", "1")
        + """mov.u32 %r5, 0; @!%p1 bra DONE;
        mbarrier.expect_tx.relaxed.cta.shared::cta.b64 [%r1], 48;
        mbarrier.arrive.shared.b64 _, [%r1];
        mbarrier.test_wait.parity.shared.b64 %p2, [%r1], 0; selp.u32 %r5, 1, 0, %p2;
        mbarrier.complete_tx.relaxed.cta.shared::cta.b64 [%r1], 32;
        mbarrier.test_wait.parity.shared.b64 %p2, [%r1], 0; @%p2 or.b32 %r5, %r5, 2;
        mbarrier.complete_tx.relaxed.cta.shared::cta.b64 [%r1], 16;
        mbarrier.test_wait.parity.shared.b64 %p2, [%r1], 0; @%p2 or.b32 %r5, %r5, 4;
        DONE: st.global.u32 [%me], %r5;""",
        module=MODULE,
    )
    assert got[0] == 4


@pytest.mark.parametrize("timeouts", [False, True])
def test_a_wait_may_be_over_before_the_phase(timeouts):
    """Warp 1 arrives late; the second attempt of warp 0 waits for it."""
    got = run(
        INIT.replace("COUNT", "32")
        + """mov.u32 %r5, 0; setp.ge.u32 %p3, %t, 32; @%p3 bra LATE;
        mbarrier.try_wait.parity.shared.b64 %p2, [%r1], 0; selp.u32 %r5, 1, 0, %p2;
        mbarrier.try_wait.parity.shared.b64 %p2, [%r1], 0; @%p2 or.b32 %r5, %r5, 2;
        mbarrier.try_wait.parity.shared.b64 %p2, [%r1], 0; @%p2 or.b32 %r5, %r5, 4;
        bra DONE;
        LATE: mbarrier.arrive.shared.b64 %rd1, [%r1];
        DONE: st.global.u32 [%me], %r5;""",
        module=MODULE, block=64, count=64, timeouts=timeouts,
    )  # fmt: skip
    assert (got[:32] == (6 if timeouts else 7)).all()


def test_who_drops_out_is_not_expected_again():
    got = run(
        INIT.replace("COUNT", "3")
        + """mov.u32 %r5, 0; @!%p1 bra DONE;
        mbarrier.arrive_drop.shared.b64 %rd1, [%r1];
        mbarrier.arrive.shared.b64 %rd1, [%r1], 2;
        mbarrier.arrive.shared.b64 %rd1, [%r1];
        mbarrier.test_wait.parity.shared.b64 %p2, [%r1], 1; selp.u32 %r5, 1, 0, %p2;
        mbarrier.arrive.shared.b64 %rd1, [%r1];
        mbarrier.test_wait.parity.shared.b64 %p2, [%r1], 1; @%p2 or.b32 %r5, %r5, 2;
        DONE: st.global.u32 [%me], %r5;""",
        module=MODULE,
    )
    assert got[0] == 2


def test_an_mbarrier_can_be_made_anew():
    got = run(
        INIT.replace("COUNT", "7")
        + """@!%p1 bra DONE; mbarrier.inval.shared.b64 [%r1];
        mbarrier.init.shared.b64 [%r1], 1; mbarrier.arrive.shared.b64 %rd1, [%r1];
        mbarrier.test_wait.shared.b64 %p2, [%r1], %rd1;
        selp.u32 %r5, 1, 0, %p2; st.global.u32 [%me], %r5; DONE:""",
        module=MODULE,
    )
    assert got[0] == 1


@SCHEDULES
@pytest.mark.parametrize("generic", [False, True])
def test_arrivals_at_another_cta(schedule, generic):
    """Each CTA of a cluster of 4 stores into the next one's memory, and arrives there."""
    if generic:
        convert = """cvt.u64.u32 %rd1, %r1; cvta.shared.u64 %rd1, %rd1;
            mapa.u64 %rd2, %rd1, %r7;"""
        arrive = "mbarrier.arrive.release.cluster.b64 _, [%rd2];"
        arrive = arrive.replace(".b64 _, [%rd2]", ".shared::cluster.b64 _, [%rd2]")
        convert += "cvta.to.shared.u64 %rd2, %rd2;"
    else:
        convert = "mapa.shared::cluster.u32 %r8, %r1, %r7;"
        arrive = "mbarrier.arrive.release.cluster.shared::cluster.b64 _, [%r8];"
    got = run(
        f"""mov.u32 %r1, bar; setp.eq.u32 %p1, %t, 0;
        @%p1 mbarrier.init.shared.b64 [%r1], 32;
        barrier.cluster.arrive; barrier.cluster.wait;
        mov.u32 %r6, %cluster_ctarank; add.u32 %r7, %r6, 1; and.b32 %r7, %r7, 3;
        {convert}
        mov.u32 %r3, buffer; shl.b32 %r2, %t, 2; add.u32 %r2, %r3, %r2;
        mapa.shared::cluster.u32 %r9, %r2, %r7;
        st.shared::cluster.u32 [%r9], %i;
        {arrive}
        WAIT0: mbarrier.try_wait.parity.acquire.cluster.shared::cta.b64 %p2, [%r1], 0;
        @!%p2 bra WAIT0;
        ld.shared.u32 %r4, [%r2]; st.global.u32 [%me], %r4;
        barrier.cluster.arrive; barrier.cluster.wait;""",
        module=MODULE, grid=8, count=256, cluster=(4, 1, 1), schedule=schedule,
    )  # fmt: skip
    whose = np.arange(256).reshape(2, 4, 32)[:, [3, 0, 1, 2]]
    assert (got.reshape(2, 4, 32) == whose).all()


def test_arrivals_and_waits_are_counted():
    counters = count(
        INIT.replace("COUNT", "64")
        + "mbarrier.arrive.shared.b64 %rd1, [%r1]; WAIT0: "
        + WAIT.format(0, 0),
        module=MODULE,
        block=64,
    )
    assert counters["mbarrier_arrivals"] == 64
    assert counters["mbarrier_waits"] == 2


ENDED = """mov.u32 %r1, bar; setp.eq.u32 %p1, %t, 0;
    @%p1 mbarrier.init.shared.b64 [%r1], 1;
    barrier.cluster.arrive; barrier.cluster.wait;
    mov.u32 %r6, %cluster_ctarank; setp.eq.u32 %p3, %r6, 0;
    @%p3 bra END; mov.u32 %r7, 0;
    LATER: add.u32 %r7, %r7, 1; setp.lt.u32 %p4, %r7, 50; @%p4 bra LATER;
    mapa.shared::cluster.u32 %r8, %r1, 0;
    @%p1 mbarrier.arrive.release.cluster.shared::cluster.b64 _, [%r8];
    END: LAST"""
FINAL = "barrier.cluster.arrive; barrier.cluster.wait;"


def test_an_arrival_at_a_cta_that_has_ended_is_reported():
    options = {"module": MODULE, "grid": 2, "cluster": (2, 1, 1)}
    run(ENDED.replace("LAST", FINAL), **options)
    early = ENDED.replace("@%p3 bra END;", "@%p3 exit;").replace("LAST", "")
    with pytest.raises(OutOfBoundsError, match="that CTA of the cluster has ended"):
        run(early, schedule=3, **options)
    run(early, schedule=3, strict=False, **options)

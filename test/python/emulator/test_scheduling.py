"""Divergence, loops, waiting, and the two orders."""

import numpy as np
import pytest
from ptx_runner import count, kernel_text, run, run_text

from ix.emulator.errors import (
    DeadlockError,
    DivergenceError,
    StepLimitError,
    TrapError,
    UnsupportedInstruction,
)

SCHEDULES = pytest.mark.parametrize("schedule", ["lockstep", 0, 1, 7])


@SCHEDULES
def test_branches_take_their_own_sides(schedule):
    got = run(
        """and.b32 %r1, %t, 3;
        setp.eq.u32 %p1, %r1, 0;
        setp.eq.u32 %p2, %r1, 1;
        @%p1 bra ZERO;
        @%p2 bra ONE;
        mov.u32 %r2, 20; bra JOIN;
        ZERO: mov.u32 %r2, 0; bra JOIN;
        ONE: mov.u32 %r2, 10;
        JOIN: add.u32 %r2, %r2, %r1;
        st.global.u32 [%me], %r2;""",
        block=96,
        count=96,
        schedule=schedule,
    )
    assert (got == np.tile([0, 11, 22, 23], 24)).all()


@SCHEDULES
def test_loops_of_different_lengths(schedule):
    got = run(
        """mov.u32 %r1, 0; mov.u32 %r2, 0;
        LOOP: setp.gt.u32 %p1, %r1, %i;
        @%p1 bra DONE;
        add.u32 %r2, %r2, %r1; add.u32 %r1, %r1, 1;
        bra.uni LOOP;
        DONE: st.global.u32 [%me], %r2;""",
        block=64,
        grid=3,
        count=192,
        schedule=schedule,
    )
    n = np.arange(192)
    assert (got == n * (n + 1) // 2).all()


def test_threads_come_together_behind_a_branch():
    """Both sides end in one instruction for all: as many steps as without the branch."""
    counters = count(
        """setp.lt.u32 %p1, %t, 7;
        @%p1 bra LESS;
        mov.u32 %r1, 1; bra JOIN;
        LESS: mov.u32 %r1, 2;
        JOIN: st.global.u32 [%me], %r1;"""
    )
    store = next(line for line in counters.lines if line.text.startswith("st.global"))
    assert store.amounts["warp_instructions"] == 1
    assert counters["divergent_branches"] == 1


def test_a_branch_between_warps_does_not_diverge():
    counters = count(
        """setp.lt.u32 %p1, %t, 32;
        @%p1 bra LESS; mov.u32 %r1, 1;
        LESS: st.global.u32 [%me], %t;""",
        block=64,
        count=64,
    )
    assert counters["divergent_branches"] == 0


@SCHEDULES
def test_blocks_need_not_be_whole_warps(schedule):
    got = run(
        """bar.sync 0;
        st.global.u32 [%me], %i;""",
        block=45,
        grid=5,
        count=225,
        schedule=schedule,
    )
    assert (got == np.arange(225)).all()


@SCHEDULES
def test_a_switch_jumps_by_index(schedule):
    got = run(
        """rem.u32 %r1, %t, 3;
        brx.idx %r1, LIST;
        LIST: .branchtargets A, B, C;
        A: mov.u32 %r2, 5; bra JOIN;
        B: mov.u32 %r2, 6; bra JOIN;
        C: mov.u32 %r2, 7;
        JOIN: st.global.u32 [%me], %r2;""",
        schedule=schedule,
    )
    assert (got == 5 + np.arange(32) % 3).all()


@SCHEDULES
def test_a_spinning_warp_lets_others_run(schedule):
    """Warp 0 spins, at lower instructions, until warp 1 has written."""
    got = run(
        """setp.ge.u32 %p1, %t, 32;
        @%p1 bra WRITER;
        SPIN: ld.volatile.global.u32 %r1, [%in0];
        setp.eq.u32 %p2, %r1, 0;
        @%p2 bra SPIN;
        bra JOIN;
        WRITER: mov.u32 %r1, 9;
        setp.eq.u32 %p3, %t, 32;
        @%p3 st.volatile.global.u32 [%in0], %r1;
        JOIN: st.global.u32 [%me], %r1;""",
        [np.zeros(1, np.uint32)],
        block=64,
        count=64,
        schedule=schedule,
    )
    assert (got == 9).all()


def test_a_lock_of_two_lanes_of_a_warp():
    """Every lane takes a spin lock in turn; independent thread scheduling allows it."""
    got = run(
        """AGAIN: atom.global.acquire.gpu.cas.b32 %r1, [%in0], 0, 1;
        setp.ne.u32 %p1, %r1, 0;
        @%p1 bra AGAIN;
        ld.global.u32 %r2, [%out];
        add.u32 %r2, %r2, 1;
        st.global.u32 [%out], %r2;
        atom.global.release.gpu.exch.b32 %r3, [%in0], 0;""",
        [np.zeros(1, np.uint32)],
        initial=np.zeros(1),
        count=1,
    )
    assert got == 32


def test_an_endless_loop_hits_the_step_limit():
    with pytest.raises(StepLimitError, match="needs to end within 1000 steps"):
        run("LOOP: bra LOOP;", step_limit=1000)


def test_an_indexed_branch_counts_the_warps_that_split():
    body = """{} brx.idx %r1, LIST;
        LIST: .branchtargets A, B;
        A: mov.u32 %r2, 5; bra JOIN;
        B: mov.u32 %r2, 6;
        JOIN: st.global.u32 [%me], %r2;"""
    of_lane, of_warp = "and.b32 %r1, %t, 1;", "shr.u32 %r1, %t, 5;"
    options = {"block": 64, "count": 64}
    assert count(body.format(of_lane), **options)["divergent_branches"] == 2
    assert count(body.format(of_warp), **options)["divergent_branches"] == 0


def test_exited_threads_leave_the_others_alone():
    got = run(
        """setp.lt.u32 %p1, %t, 5;
        @%p1 exit;
        bar.sync 0;
        st.global.u32 [%me], 1;""",
        block=64,
        count=64,
        initial=np.zeros(64),
    )
    assert got.sum() == 59


def test_trap_is_reported():
    with pytest.raises(TrapError, match="needs to be unreachable, but 2 threads"):
        run("setp.gt.u32 %p1, %t, 29; @%p1 trap;")


def test_a_barrier_that_some_skip_forever_is_a_deadlock():
    with pytest.raises(DeadlockError) as info:
        run(
            """setp.lt.u32 %p1, %t, 32;
            @%p1 bra WAIT;
            bar.sync 1; bra DONE;
            WAIT: bar.sync 0;
            DONE: ret;""",
            block=64,
            count=64,
        )
    message = str(info.value)
    assert "no thread can go on (0 have exited)" in message
    assert "32 threads wait for barrier 0 of CTA 0" in message
    assert "32 threads wait for barrier 1 of CTA 0" in message
    assert "`bar.sync 1;`" in message


def test_half_a_warp_at_an_aligned_barrier():
    with pytest.raises(DivergenceError) as info:
        run(
            """setp.lt.u32 %p1, %t, 16;
            @%p1 bra FIRST;
            bar.sync 0; bra DONE;
            FIRST: bar.sync 0;
            DONE: ret;"""
        )
    assert "16 do not come" in str(info.value)
    assert "keep the threads of a warp on one path" in str(info.value)


def test_a_predicate_on_an_aligned_instruction_must_hold_for_whole_warps():
    with pytest.raises(DivergenceError, match="its predicate excludes some of them"):
        run("setp.lt.u32 %p1, %t, 16; @%p1 bar.sync 0;")


def test_an_unknown_instruction_names_its_line():
    with pytest.raises(UnsupportedInstruction, match=r"PTX line \d+ `frobnicate\.x"):
        run("frobnicate.x %r1, %r2;")
    with pytest.raises(UnsupportedInstruction, match="its target is no label"):
        run("bra NOWHERE;")
    with pytest.raises(
        UnsupportedInstruction, match="'missing' needs to be a variable"
    ):
        run("mov.u64 %rd1, missing;")


def test_many_ctas_go_in_batches():
    text = kernel_text("st.global.u32 [%me], %i;", 0, 64)
    got, counters = run_text(
        text, block=64, grid=50, count=3200, batch_threads=512, out=np.uint32
    )
    assert (got == np.arange(3200)).all()
    assert counters["global_store_sectors"] == 400


@pytest.mark.parametrize(
    "text",
    [
        "st.async.weak.shared::cluster.mbarrier::complete_tx::bytes.b32 [%r1], %r2, [%r3];",
        "red.async.relaxed.cluster.shared::cluster.mbarrier::complete_tx::bytes.add.u32 [%r1], %r2, [%r3];",
        "ld.global.q32 %r1, [%out];",
        "mov.u32 %r1;",
        "shfl.sync.bfly.b32 %r1;",
        "atom.global.nand.b32 %r1, [%out], 1;",
    ],
)
def test_forms_that_are_not_emulated_are_refused_before_anything_runs(text):
    with pytest.raises(UnsupportedInstruction, match=r"PTX line \d+ `"):
        run(text)

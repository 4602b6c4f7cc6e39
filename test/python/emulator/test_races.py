"""Races that are planted, and order that must not be taken for a race."""

import numpy as np
import pytest
from ptx_runner import run

from ix.emulator.errors import RaceError

SHARED = ".shared .align 16 .b8 buffer[4096];"
BOTH = pytest.mark.parametrize("schedule", ["lockstep", 0, 3])

EXCHANGE = """shl.b32 %r1, %t, 2;
    st.shared.u32 [%r1], %i;
    {between}
    xor.b32 %r2, %r1, 128;
    ld.shared.u32 %r3, [%r2];
    st.global.u32 [%me], %r3;"""


@BOTH
def test_a_dropped_barrier_between_warps(schedule):
    """The result is right in lock step; the race is found all the same."""
    run(
        EXCHANGE.format(between="bar.sync 0;"),
        module=SHARED,
        block=64,
        count=64,
        schedule=schedule,
    )
    with pytest.raises(RaceError) as info:
        run(
            EXCHANGE.format(between=""),
            module=SHARED,
            block=64,
            count=64,
            initial=np.zeros(64),
        )
    message = str(info.value)
    assert "`ld.shared.u32 %r3, [%r2];`" in message
    assert "reads shared memory that warp 1 wrote at line" in message
    assert "`st.shared.u32 [%r1], %i;`" in message
    assert "of the 4096-byte variable 'buffer'" in message
    assert "put a barrier or a wait between them" in message


def test_races_can_be_left_alone():
    got = run(
        EXCHANGE.format(between=""), module=SHARED, block=64, count=64, races=False
    )
    assert (got == np.arange(64) ^ 32).all()


@BOTH
def test_a_write_after_a_read_of_another_warp(schedule):
    body = """shl.b32 %r1, %t, 2; xor.b32 %r2, %r1, 128;
        st.shared.u32 [%r1], 5;
        bar.sync 0;
        ld.shared.u32 %r3, [%r2];
        {}
        st.shared.u32 [%r1], %r3;"""
    options = {"module": SHARED, "block": 64, "count": 64, "schedule": schedule}
    run(body.format("bar.sync 0;"), **options)
    with pytest.raises(RaceError, match=r"shared memory that warp \d (read|wrote) at"):
        run(body.format(""), **options)


@BOTH
def test_two_warps_that_write_the_same_word(schedule):
    with pytest.raises(RaceError, match=r"writes shared memory that warp \d wrote at"):
        run(
            "and.b32 %r1, %t, 31; setp.eq.u32 %p1, %r1, 3; "
            "@%p1 st.shared.u32 [buffer], %t;",
            module=SHARED,
            block=64,
            count=64,
            schedule=schedule,
        )


def test_halves_of_a_word_belong_to_different_warps():
    run(
        """and.b32 %r1, %t, 31; shl.b32 %r1, %r1, 2;
        shr.u32 %r2, %t, 5; shl.b32 %r2, %r2, 1; add.u32 %r1, %r1, %r2;
        cvt.u16.u32 %h1, %t; st.shared.u16 [%r1], %h1;""",
        module=SHARED,
        block=64,
        count=64,
    )


def test_a_read_by_many_warps_and_a_write_behind_the_barrier():
    run(
        """setp.eq.u32 %p1, %t, 0;
        @%p1 st.shared.u32 [buffer], 3;
        bar.sync 0;
        ld.shared.u32 %r1, [buffer];
        bar.sync 0;
        @%p1 st.shared.u32 [buffer], 4;""",
        module=SHARED,
        block=128,
        count=128,
    )


def test_one_of_several_readers_is_not_ordered():
    """Warps 0 to 2 meet at barrier 1 behind their reads, warp 3 does not."""
    body = """setp.eq.u32 %p1, %t, 0;
        @%p1 st.shared.u32 [buffer], 3;
        bar.sync 0;
        ld.shared.u32 %r1, [buffer];
        setp.ge.u32 %p2, %t, {};
        @%p2 bra DONE;
        bar.sync 1, {};
        @%p1 st.shared.u32 [buffer], 4;
        DONE: ret;"""
    run(body.format(128, 128), module=SHARED, block=128, count=128)
    with pytest.raises(RaceError, match="writes shared memory that warp 3 read"):
        run(body.format(96, 96), module=SHARED, block=128, count=128)


@BOTH
def test_arrive_orders_only_what_came_before_it(schedule):
    body = """shl.b32 %r1, %t, 2;
        setp.ge.u32 %p1, %t, 32;
        @%p1 bra CONSUMER;
        {}
        bra DONE;
        CONSUMER: bar.sync 1, 64; ld.shared.u32 %r2, [%r1+-128];
        DONE: ret;"""
    store, arrive = "st.shared.u32 [%r1], %t;", "bar.arrive 1, 64;"
    options = {"module": SHARED, "block": 64, "count": 64, "schedule": schedule}
    run(body.format(store + arrive), **options)
    late = "st.shared.u32 [%r1], %t; bar.arrive 1, 64; st.shared.u32 [%r1], %t;"
    with pytest.raises(RaceError):
        run(body.format(late), **options)


def test_global_memory_within_a_cta():
    body = """st.global.u32 [%me], %t;
        {}
        xor.b32 %r1, %t, 32; mad.wide.u32 %rd1, %r1, 4, %out;
        ld.global.u32 %r2, [%rd1];"""
    run(body.format("bar.sync 0;"), block=64, count=64)
    with pytest.raises(
        RaceError, match="reads global memory that warp 1 of CTA number 0"
    ):
        run(body.format(""), block=64, count=64)


@pytest.mark.parametrize("batch_threads", [32, 8192])
@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("st.global.u32 [%out], %t;", "writes global memory that"),
        (
            """setp.eq.u32 %p1, %c, 0; @%p1 bra WRITE;
            ld.global.u32 %r1, [%out]; ret;
            WRITE: st.global.u32 [%out], 1;""",
            "global memory that",
        ),
        (
            """setp.eq.u32 %p1, %c, 2; @%p1 bra WRITE;
            ld.global.u32 %r1, [%out]; ret;
            WRITE: st.global.u32 [%out], 1;""",
            "global memory that",
        ),
    ],
)
def test_ctas_are_not_ordered(body, message, batch_threads):
    with pytest.raises(RaceError, match=message):
        run(body, grid=3, count=96, initial=np.zeros(96), batch_threads=batch_threads)


def test_ctas_that_read_the_same_and_write_apart():
    x = np.arange(32, dtype=np.uint32)
    run(
        """mad.wide.u32 %rd1, %t, 4, %in0; ld.global.u32 %r1, [%rd1];
        st.global.u32 [%me], %r1; ld.global.u32 %r2, [%me];""",
        [x],
        grid=4,
        count=128,
    )


def test_a_non_coherent_load_of_what_the_kernel_wrote():
    body = """st.global.u32 [%me], %t;
        bar.sync 0;
        ld.global{}.u32 %r1, [%me];"""
    run(body.format(""))
    with pytest.raises(
        RaceError, match=r"warp 0 of CTA number 0 wrote .* without \.nc"
    ):
        run(body.format(".nc"))


def test_atomics_do_not_race_with_each_other_but_with_plain_accesses():
    run("red.global.add.u32 [%out], 1;", grid=4, initial=np.zeros(32))
    with pytest.raises(RaceError, match="updates global memory that warp 0"):
        run(
            """setp.eq.u32 %p1, %i, 0; @%p1 st.global.u32 [%out], 0;
            setp.eq.u32 %p1, %c, 1; @%p1 atom.global.add.u32 %r1, [%out], 1;""",
            grid=2,
            initial=np.zeros(32),
        )


LAST_BLOCK = """
    st.global.u32 [%me], %i;
    bar.sync 0;
    setp.ne.u32 %p1, %t, 0;
    @%p1 bra WAIT;
    {before}
    atom.global.add.u32 %r1, [%in0], 1;
    {behind}
    st.shared.u32 [buffer], %r1;
    WAIT: bar.sync 0;
    ld.shared.u32 %r2, [buffer];
    setp.ne.u32 %p2, %r2, 3;
    @%p2 bra DONE;
    mad.wide.u32 %rd1, %t, 4, %out;
    ld.global.u32 %r3, [%rd1];
    DONE: ret;"""


@pytest.mark.parametrize("batch_threads", [64, 8192])
def test_the_last_block_may_read_what_the_others_released(batch_threads):
    options = {
        "module": SHARED,
        "block": 64,
        "grid": 4,
        "count": 256,
        "batch_threads": batch_threads,
    }
    counter = [np.zeros(1, np.uint32)]
    fence = "fence.acq_rel.gpu;"
    if batch_threads > 64:
        run(LAST_BLOCK.format(before=fence, behind=fence), counter, **options)
    with pytest.raises(RaceError, match="reads global memory that warp"):
        run(LAST_BLOCK.format(before="", behind=fence), counter, **options)
    with pytest.raises(RaceError, match="reads global memory that warp"):
        run(LAST_BLOCK.format(before=fence, behind=""), counter, **options)


def test_release_and_acquire_pass_a_value_between_warps():
    body = """setp.ge.u32 %p1, %t, 32; @%p1 bra CONSUMER;
        setp.ne.u32 %p2, %t, 0; @%p2 bra DONE;
        st.global.u32 [%out+4], 5;
        st.{}.gpu.global.u32 [%out], 1;
        bra DONE;
        CONSUMER: ld.{}.gpu.global.u32 %r1, [%out];
        setp.eq.u32 %p3, %r1, 0; @%p3 bra CONSUMER;
        ld.global.u32 %r2, [%out+4];
        DONE: ret;"""
    options = {"block": 64, "count": 2, "initial": np.zeros(2)}
    run(body.format("release", "acquire"), **options)
    for pair in (("relaxed", "acquire"), ("release", "relaxed")):
        with pytest.raises(RaceError):
            run(body.format(*pair), **options)


def test_a_cluster_barrier_orders_its_ctas():
    body = """shl.b32 %r1, %t, 2;
        st.shared.u32 [%r1], %i;
        {}
        mov.u32 %r2, %cluster_ctarank; xor.b32 %r2, %r2, 1;
        mapa.shared::cluster.u32 %r3, %r1, %r2;
        ld.shared::cluster.u32 %r4, [%r3];"""
    options = {"module": SHARED, "grid": 4, "cluster": (2, 1, 1), "count": 128}
    run(body.format("barrier.cluster.arrive; barrier.cluster.wait;"), **options)
    with pytest.raises(RaceError, match=r"reads shared memory that warp \d wrote"):
        run(body.format(""), **options)

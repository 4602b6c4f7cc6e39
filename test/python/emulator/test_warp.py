"""Instructions among lanes against a scalar reference, lane by lane."""

import numpy as np
import pytest
from ptx_runner import run

from ix.emulator.errors import DivergenceError

RNG = np.random.default_rng()
FULL = 0xFFFFFFFF


def load(body):
    """A body that has the thread's own element of the input in %r1."""
    return f"""mad.wide.u32 %rd1, %i, 4, %in0;
        ld.global.u32 %r1, [%rd1];
        {body}"""


def shuffle(mode, lane, offset, clamp_and_segment):
    """The source lane and the predicate of one lane. Source: PTX ISA, "shfl.sync"."""
    clamp, segment = clamp_and_segment & 31, clamp_and_segment >> 8 & 31
    low = lane & segment
    high = lane & segment | clamp & ~segment & 31
    offset &= 31
    if mode == "up":
        source, valid = lane - offset, lane - offset >= high
    elif mode == "down":
        source, valid = lane + offset, lane + offset <= high
    elif mode == "bfly":
        source, valid = lane ^ offset, (lane ^ offset) <= high
    else:
        source = low | offset & ~segment & 31
        valid = source <= high
    return (source if valid else lane), valid


@pytest.mark.parametrize("mode", ["up", "down", "bfly", "idx"])
@pytest.mark.parametrize("width", [32, 16, 8, 4])
def test_shuffles(mode, width):
    x = RNG.integers(0, 1 << 31, 64, dtype=np.uint32)
    clamp = (32 - width) << 8 | (0 if mode == "up" else 31)
    for offset in (0, 1, 3, 7, 16, 33):
        got = run(
            load(
                f"""shfl.sync.{mode}.b32 %r2|%p1, %r1, {offset}, {clamp}, -1;
                selp.u32 %r3, 1, 0, %p1;
                shl.b32 %r2, %r2, 1; or.b32 %r2, %r2, %r3;
                st.global.u32 [%me], %r2;"""
            ),
            [x],
            block=64,
            count=64,
        )
        for thread in range(64):
            source, valid = shuffle(mode, thread % 32, offset, clamp)
            expected = int(x[thread // 32 * 32 + source]) << 1 | valid
            assert got[thread] == expected & FULL, (mode, width, offset, thread)


def test_a_shuffle_with_a_source_of_each_lane():
    x = RNG.integers(0, 1 << 32, 32, dtype=np.uint32)
    got = run(
        load(
            """xor.b32 %r4, %t, 21; mul.lo.u32 %r4, %r4, 5;
            shfl.sync.idx.b32 %r2, %r1, %r4, 31, 0xffffffff;
            st.global.u32 [%me], %r2;"""
        ),
        [x],
    )
    assert (got == x[(np.arange(32) ^ 21) * 5 % 32]).all()


def test_a_shuffle_among_some_lanes():
    x = RNG.integers(0, 1 << 32, 32, dtype=np.uint32)
    got = run(
        load(
            """mov.u32 %r2, 0;
            setp.ge.u32 %p1, %t, 8;
            @%p1 bra JOIN;
            shfl.sync.bfly.b32 %r2, %r1, 7, 31, 0xff;
            JOIN: st.global.u32 [%me], %r2;"""
        ),
        [x],
    )
    assert (got == np.concatenate((x[7::-1], np.zeros(24)))).all()


def test_named_lanes_wait_for_one_another():
    """Lanes come to the shuffle over paths of different lengths."""
    x = np.arange(32, dtype=np.uint32)
    got = run(
        load(
            """and.b32 %r3, %t, 1;
            setp.eq.u32 %p1, %r3, 0;
            @%p1 bra MEET;
            add.u32 %r1, %r1, 100; add.u32 %r1, %r1, 0;
            MEET: shfl.sync.bfly.b32 %r2, %r1, 1, 31, -1;
            st.global.u32 [%me], %r2;"""
        ),
        [x],
        schedule=3,
    )
    lanes = np.arange(32) ^ 1
    assert (got == lanes + 100 * (lanes % 2)).all()


def test_a_named_lane_that_never_comes():
    with pytest.raises(DivergenceError) as info:
        run(
            """setp.ge.u32 %p1, %t, 8;
            @%p1 bra DONE;
            shfl.sync.bfly.b32 %r2, %t, 1, 31, 0xffff;
            DONE: bar.sync 0;"""
        )
    assert "8 do not come" in str(info.value)


def test_a_lane_outside_its_own_mask():
    with pytest.raises(DivergenceError, match="needs a mask that names the executing"):
        run("shfl.sync.bfly.b32 %r2, %t, 1, 31, 0xff;")


def test_a_read_from_a_lane_outside_the_mask():
    with pytest.raises(DivergenceError, match="needs to read from an active lane"):
        run(
            """setp.ge.u32 %p1, %t, 8;
            @%p1 bra DONE;
            shfl.sync.down.b32 %r2, %t, 4, 31, 0xff;
            DONE: ret;"""
        )


@pytest.mark.parametrize("density", [0.0, 0.3, 1.0])
def test_votes(density):
    x = (RNG.random(64) < density).astype(np.uint32)
    got = run(
        load(
            """setp.ne.u32 %p1, %r1, 0;
            vote.sync.all.pred %p2, %p1, -1; selp.u32 %r2, 1, 0, %p2;
            vote.sync.any.pred %p2, %p1, -1; selp.u32 %r3, 2, 0, %p2;
            vote.sync.uni.pred %p2, !%p1, -1; selp.u32 %r4, 4, 0, %p2;
            vote.sync.ballot.b32 %r5, %p1, -1; popc.b32 %r6, %r5;
            mov.u32 %r7, %laneid; shr.u32 %r5, %r5, %r7; and.b32 %r5, %r5, 1; shl.b32 %r5, %r5, 3;
            or.b32 %r2, %r2, %r3; or.b32 %r2, %r2, %r4; or.b32 %r2, %r2, %r5;
            mad.lo.u32 %r2, %r6, 16, %r2;
            st.global.u32 [%me], %r2;"""
        ),
        [x],
        block=64,
        count=64,
    )
    for thread in range(64):
        warp = x[thread // 32 * 32 :][:32]
        every, some = bool(warp.all()), bool(warp.any())
        flags = every | some << 1 | (every or not some) << 2 | int(x[thread]) << 3
        assert got[thread] == int(warp.sum()) * 16 + flags


@pytest.mark.parametrize("width", [32, 64])
def test_matches(width):
    x = RNG.integers(0, 4, 32, dtype=np.uint64).astype(f"u{width // 8}")
    register = "%r1" if width == 32 else "%rd2"
    got = run(
        f"""mad.wide.u32 %rd1, %t, {width // 8}, %in0;
        ld.global.b{width} {register}, [%rd1];
        match.any.sync.b{width} %r2, {register}, -1;
        st.global.u32 [%me], %r2;""",
        [x],
    )
    expected = [sum(1 << j for j in range(32) if x[j] == x[i]) for i in range(32)]
    assert got.tolist() == expected


def test_match_all():
    body = load(
        """match.all.sync.b32 %r2|%p1, %r1, -1;
        selp.u32 %r3, 1, 0, %p1; add.u32 %r2, %r2, %r3;
        st.global.u32 [%me], %r2;"""
    )
    x = np.full(32, 9, np.uint32)
    assert (run(body, [x]) == 0).all()  # all ones and one more
    x[5] = 8
    assert (run(body, [x]) == 0).all()
    mask = load(
        """match.all.sync.b32 %r2|%p1, %r1, -1;
        selp.u32 %r2, %r2, 77, %p1;
        st.global.u32 [%me], %r2;"""
    )
    assert (run(mask, [x]) == 77).all()
    assert (run(mask, [np.full(32, 3, np.uint32)]) == FULL).all()


@pytest.mark.parametrize(
    ("op", "type_name", "reference"),
    [
        ("add", "u32", lambda v: np.add.reduce(v, dtype=np.uint32)),
        ("add", "s32", lambda v: np.add.reduce(v, dtype=np.uint32)),
        ("min", "u32", np.min),
        ("max", "u32", np.max),
        ("min", "s32", lambda v: v.view(np.int32).min().view(np.uint32)),
        ("max", "s32", lambda v: v.view(np.int32).max().view(np.uint32)),
        ("and", "b32", np.bitwise_and.reduce),
        ("or", "b32", np.bitwise_or.reduce),
        ("xor", "b32", np.bitwise_xor.reduce),
    ],
)
def test_reductions(op, type_name, reference):
    x = RNG.integers(0, 1 << 32, 32, dtype=np.uint32)
    body = load(
        f"""mov.u32 %r2, 0;
        setp.ge.u32 %p1, %t, 20;
        @%p1 bra JOIN;
        redux.sync.{op}.{type_name} %r2, %r1, 0xfffff;
        JOIN: st.global.u32 [%me], %r2;"""
    )
    got = run(body, [x])
    assert (got[:20] == reference(x[:20])).all()
    assert (got[20:] == 0).all()


def test_reductions_of_floats_and_nan():
    x = RNG.standard_normal(32).astype(np.float32)
    x[3] = np.nan
    body = """mad.wide.u32 %rd1, %t, 4, %in0;
        ld.global.f32 %f1, [%rd1];
        redux.sync.{} %f2, %f1, -1;
        st.global.f32 [%me], %f2;"""
    got = run(body.format("min.f32"), [x], out=np.float32)
    assert (got == np.nanmin(x)).all()
    got = run(body.format("max.abs.f32"), [x], out=np.float32)
    assert (got == np.nanmax(np.abs(x))).all()
    assert np.isnan(run(body.format("max.NaN.f32"), [x], out=np.float32)).all()


def test_the_active_mask_and_the_elected_lane():
    got = run(
        """setp.lt.u32 %p1, %t, 12;
        mov.u32 %r1, 0; mov.u32 %r3, 0; mov.u32 %r4, 0;
        @%p1 bra JOIN;
        activemask.b32 %r1;
        elect.sync %r2|%p2, 0xfffff000;
        selp.u32 %r3, 1000, 0, %p2;
        add.u32 %r3, %r3, %r2;
        popc.b32 %r1, %r1;
        JOIN: mad.lo.u32 %r1, %r1, 10000, %r3;
        st.global.u32 [%me], %r1;"""
    )
    expected = np.where(np.arange(32) < 12, 0, 20 * 10000 + 12)
    expected[12] += 1000
    assert (got == expected).all()

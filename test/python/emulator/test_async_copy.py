"""cp.async: sizes, zero fill, groups, and arrivals at mbarriers."""

import numpy as np
import pytest
from ptx_runner import count, run

from ix.emulator.errors import OutOfBoundsError, UninitialisedError

MODULE = ".shared .align 128 .b8 buffer[4096]; .shared .align 8 .b64 bar;"
BOTH = pytest.mark.parametrize("completion", ["late", "early"])


def addresses(size):
    return f"""mov.u32 %r1, buffer; mul.lo.u32 %r2, %t, {size}; add.u32 %r2, %r1, %r2;
        mad.wide.u32 %rd1, %t, {size}, %in0;"""


def copy_out(size):
    """Copies a lane's bytes of shared memory to the output."""
    words = "".join(
        f"ld.shared.u32 %r9, [%r2+{at}]; st.global.u32 [%rd2+{at}], %r9;"
        for at in range(0, size, 4)
    )
    return f"mad.wide.u32 %rd2, %t, {size}, %out; {words}"


@BOTH
@pytest.mark.parametrize(
    ("name", "size"), [("ca", 4), ("ca", 8), ("ca", 16), ("cg", 16)]
)
def test_bytes_arrive(name, size, completion):
    data = np.random.default_rng().integers(0, 2**32, 8 * size, dtype=np.uint32)
    got = run(
        f"""{addresses(size)}
        cp.async.{name}.shared.global [%r2], [%rd1], {size};
        cp.async.commit_group; cp.async.wait_group 0; {copy_out(size)}""",
        (data,),
        module=MODULE,
        count=8 * size,
        completion=completion,
    )
    np.testing.assert_array_equal(got, data)


@BOTH
def test_bytes_behind_the_source_size_are_zero(completion):
    """Lane l copies l mod 17 bytes of 16; no byte beyond is touched."""
    data = np.random.default_rng().integers(1, 256, 512).astype(np.uint8)
    got = run(
        f"""{addresses(16)} rem.u32 %r3, %t, 17;
        cp.async.ca.shared.global [%r2], [%rd1], 16, %r3;
        cp.async.wait_all; {copy_out(16)}""",
        (data,),
        module=MODULE,
        count=128,
        completion=completion,
    ).view(np.uint8)
    for lane, byte in np.ndindex(32, 16):
        at = 16 * lane + byte
        assert got[at] == (data[at] if byte < lane % 17 else 0)


def test_a_source_of_no_bytes_may_be_anywhere():
    body = """mov.u32 %r1, buffer; shl.b32 %r2, %t, 4; add.u32 %r2, %r1, %r2;
        mov.u64 %rd1, 16; cp.async.cg.shared.global [%r2], [%rd1], 16, SIZE;
        cp.async.wait_all;"""
    got = run(body.replace("SIZE", "0") + copy_out(16), module=MODULE, count=128)
    assert not got.any()
    with pytest.raises(OutOfBoundsError, match="needs 16 bytes of global memory"):
        run(body.replace("SIZE", "16"), module=MODULE)


def test_a_predicate_ignores_the_source():
    data = np.random.default_rng().integers(1, 2**32, 128, dtype=np.uint32)
    got = run(
        f"""{addresses(16)} setp.ge.u32 %p1, %t, 16;
        cp.async.ca.shared.global [%r2], [%rd1], 16, %p1;
        cp.async.wait_all; {copy_out(16)}""",
        (data,),
        module=MODULE,
        count=128,
    )
    np.testing.assert_array_equal(got[:64], data[:64])
    assert not got[64:].any()


GROUPS = f"""{addresses(4)}
    cp.async.ca.shared.global [%r2], [%rd1], 4; cp.async.commit_group;
    cp.async.ca.shared.global [%r2+128], [%rd1+128], 4; cp.async.commit_group;
    cp.async.ca.shared.global [%r2+256], [%rd1+256], 4;"""
LAST = "ld.shared.u32 %r3, [%r2+{}]; st.global.u32 [%me], %r3;"


@pytest.mark.parametrize(
    ("wait", "arrived"),
    [("wait_group 2", 0), ("wait_group 1", 1), ("wait_group 0", 2), ("wait_all", 3)],
)
def test_groups_arrive_in_their_order(wait, arrived):
    data = np.random.default_rng().integers(0, 2**32, 96, dtype=np.uint32)
    for group in range(3):
        body = f"{GROUPS} cp.async.{wait}; {LAST.format(128 * group)}"
        if group < arrived:
            got = run(body, (data,), module=MODULE)
            np.testing.assert_array_equal(got, data[32 * group :][:32])
        else:
            with pytest.raises(UninitialisedError, match="is still in flight"):
                run(body, (data,), module=MODULE)


def test_warps_wait_for_their_own_groups():
    """Warp 0 has one group in flight, warp 1 two: both wait for all but one."""
    data = np.random.default_rng().integers(0, 2**32, 256, dtype=np.uint32)
    body = f"""{addresses(4)} setp.ge.u32 %p1, %t, 32;
        cp.async.ca.shared.global [%r2], [%rd1], 4; cp.async.commit_group;
        @%p1 cp.async.ca.shared.global [%r2+512], [%rd1+256], 4;
        @%p1 cp.async.commit_group; cp.async.wait_group 1;
        WHO ld.shared.u32 %r3, [%r2]; WHO st.global.u32 [%me], %r3;"""
    got = run(body.replace("WHO", "@%p1"), (data,), module=MODULE, block=64, count=64)
    np.testing.assert_array_equal(got[32:], data[32:64])
    with pytest.raises(UninitialisedError, match=r"thread \(0, 0, 0\)"):
        run(body.replace("WHO", ""), (data,), module=MODULE, block=64, count=64)


@BOTH
@pytest.mark.parametrize(("form", "arrivals"), [(".noinc", 32), ("", 1)])
def test_copies_arrive_at_an_mbarrier(form, arrivals, completion):
    """Without .noinc an arrival adds itself: one real arrival is left to wait for."""
    data = np.random.default_rng().integers(0, 2**32, 32, dtype=np.uint32)
    extra = "@%p1 mbarrier.arrive.shared.b64 %rd3, [%r4];" if not form else ""
    got = run(
        f"""mov.u32 %r4, bar; setp.eq.u32 %p1, %t, 0;
        @%p1 mbarrier.init.shared.b64 [%r4], {arrivals}; bar.sync 0;
        {addresses(4)} cp.async.ca.shared.global [%r2], [%rd1], 4;
        cp.async.mbarrier.arrive{form}.shared.b64 [%r4]; {extra}
        LOOP: mbarrier.try_wait.parity.shared.b64 %p2, [%r4], 0; @!%p2 bra LOOP;
        xor.b32 %r5, %t, 31; shl.b32 %r5, %r5, 2; add.u32 %r5, %r1, %r5;
        ld.shared.u32 %r3, [%r5]; st.global.u32 [%me], %r3;""",
        (data,),
        module=MODULE,
        completion=completion,
    )
    np.testing.assert_array_equal(got, data[::-1])


def test_bytes_and_conflicts_are_counted():
    data = np.zeros(2048, np.uint32)

    def counters(stride):
        return count(
            f"""mov.u32 %r1, buffer; mul.lo.u32 %r2, %t, {stride};
            add.u32 %r2, %r1, %r2; mad.wide.u32 %rd1, %t, 16, %in0;
            cp.async.cg.shared.global [%r2], [%rd1], 16; cp.async.wait_all;""",
            (data,),
            module=MODULE,
        )

    packed, apart = counters(16), counters(128)
    assert packed["async_copy_bytes"] == apart["async_copy_bytes"] == 512
    assert packed["global_load_sectors"] == 16
    assert packed["shared_store_conflicts"] == 0
    assert apart["shared_store_conflicts"] == 28

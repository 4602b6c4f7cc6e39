"""Faults planted into kernels that are right: each is reported by name.

The kernels themselves run without a report (test_kernels.py).
"""

import re

import numpy as np
import pytest
from emulator_faults import FAULTS
from ptx_kernels import CASES, text_of
from ptx_runner import run

from ix.emulator.errors import (
    BarrierError,
    DeadlockError,
    DivergenceError,
    KernelFault,
    MisalignedError,
    OutOfBoundsError,
    RaceError,
    UninitialisedError,
)
from ix.emulator.tensor_errors import (
    MatrixDescriptorError,
    ProxyFenceError,
    TensorMapError,
    WgmmaOrderError,
)

# What every message of a class says.
SAYS = {
    BarrierError: r"arriv|mbarrier|parity|registers",
    DeadlockError: r"no thread can go on .* wait for mbarrier at shared address",
    DivergenceError: r"its predicate excludes some of them",
    MisalignedError: r"multiple",
    OutOfBoundsError: r"needs \d+ bytes of (global|shared) memory to .* behind the end",
    ProxyFenceError: r"put fence\.proxy\.async behind the write",
    RaceError: r"needs an order between accesses, .* put (a|bar\.warp\.sync or a) barrier",
    UninitialisedError: r"is still in flight|was never written",
    MatrixDescriptorError: r"needs (zero in the reserved bits|one descriptor in all)",
    TensorMapError: r"needs (a tensor map of 3 dimensions|the 128 bytes)",
    WgmmaOrderError: r"needs (wgmma\.fence|accumulators|all operations of wgmma)",
}


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_planted_fault_is_reported(fault):
    case = CASES[fault.case].with_(**fault.launch)
    good = text_of(fault.case)
    text = fault.edit(good)
    assert text != good or fault.launch or fault.options
    if fault.kind is None:
        assert not case.run(text, **fault.options).is_right
        return
    with pytest.raises(KernelFault) as report:
        case.run(text, **fault.options)
    error = report.value
    assert type(error) is fault.kind, error
    assert re.search(SAYS[fault.kind], str(error), re.DOTALL), error
    assert fault.at in text.splitlines()[error.line - 1]
    assert f"line {error.line} " in str(error)


def test_there_are_enough_faults_of_every_class():
    assert len(FAULTS) >= 40
    assert {fault.kind for fault in FAULTS} == {None, *SAYS}


# A fault that lock step hides shows in some order of the warps.
@pytest.mark.parametrize("seed", range(3))
def test_a_weak_barrier_is_reported_in_any_order(seed):
    fault = next(f for f in FAULTS if f.name == "no barrier between stages")
    text = fault.edit(text_of(fault.case))
    with pytest.raises((RaceError, UninitialisedError), match="ldmatrix"):
        CASES[fault.case].run(text, schedule=seed)


SHARED = ".shared .align 128 .b8 buffer[1024]; .shared .align 8 .b64 bar;"
FILL = """mov.u32 %r1, buffer; shl.b32 %r2, %t, 4; add.u32 %r2, %r1, %r2;
st.shared.v4.u32 [%r2], {%t, %t, %t, %t};"""
STORE = """fence.proxy.async; bar.warp.sync -1; setp.eq.u32 %p1, %t, 0;
@%p1 cp.async.bulk.global.shared::cta.bulk_group [%out], [%r1], 512;
@%p1 cp.async.bulk.commit_group;"""


def small(body, **options):
    return run(body, module=SHARED, count=128, **options)


def test_a_source_that_is_overwritten_before_its_copy_has_read_it():
    overwrite = "st.shared.u32 [%r2], 7;"
    wait = "@%p1 cp.async.bulk.wait_group.read 0; bar.warp.sync -1;"
    got = small(f"{FILL} {STORE} {wait} {overwrite}")
    assert (got.reshape(32, 4) == np.arange(32)[:, None]).all()
    with pytest.raises(RaceError, match="writes shared memory that a bulk copy of war"):
        small(f"{FILL} {STORE} {overwrite}")


@pytest.mark.parametrize("change", [("512", "500"), ("[%r1]", "[%r1+8]")])
def test_bulk_copies_move_whole_chunks(change):
    with pytest.raises(MisalignedError, match="multiples of 16 bytes, but one is"):
        small(f"{FILL} {STORE.replace(*change)}")


def test_a_bulk_copy_of_what_nobody_wrote():
    with pytest.raises(UninitialisedError, match="was never written"):
        small(f"mov.u32 %r1, buffer; {STORE}")


def test_a_bulk_copy_without_a_proxy_fence():
    with pytest.raises(ProxyFenceError, match=r"put fence\.proxy\.async behind"):
        small(f"{FILL} {STORE.replace('fence.proxy.async;', '')}")


INIT = "mov.u32 %r1, bar; mbarrier.init.shared.b64 [%r1], {}; fence.proxy.async;"
ONE = "setp.ne.u32 %p1, %t, 0; @%p1 exit;"


@pytest.mark.parametrize("count", [0, 1 << 20])
def test_counts_of_mbarriers_have_a_range(count):
    with pytest.raises(
        BarrierError, match=f"a count of 1 to 1048575, but it is {count}"
    ):
        small(ONE + INIT.format(count))


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("mbarrier.arrive.noComplete.shared.b64 %rd1, [%r1], 2;",
         "arrivals that leave the phase incomplete, but 2 of 2 pending"),
        ("mbarrier.arrive.shared.b64 %rd1, [%r1], 3;",
         "at most 2 more arrivals in this phase, but 3 come"),
        ("mbarrier.arrive.shared.b64 %rd1, [%r1]; mbarrier.arrive.shared.b64 %rd2, "
         "[%r1]; mbarrier.arrive.shared.b64 _, [%r1], 2; "
         "mbarrier.test_wait.shared.b64 %p2, [%r1], %rd1;",
         "the state of the running phase or of the one before, but it is of phase 0"),
        ("mbarrier.inval.shared.b64 [%r1]; mbarrier.arrive.shared.b64 %rd1, [%r1];",
         "needs an mbarrier at shared address 0x400, but none was initialised"),
        ("st.shared.u32 [%r1], 1; mbarrier.arrive.shared.b64 %rd1, [%r1];",
         "its bytes were overwritten; place data and barriers apart"),
        ("mbarrier.expect_tx.relaxed.cta.shared.b64 [%r1], 1048575; "
         "mbarrier.expect_tx.relaxed.cta.shared.b64 [%r1], 1;",
         r"needs fewer than 2\^20 bytes in flight"),
    ],
)  # fmt: skip
def test_misused_mbarriers(body, says):
    with pytest.raises(BarrierError, match=says):
        small(ONE + INIT.format(2) + body)


def test_a_copy_that_nobody_expects_keeps_the_barrier_closed():
    copy = """cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes
        [buffer], [%in0], 512, [%r1]; mbarrier.arrive.shared.b64 %rd1, [%r1];
        LOOP: mbarrier.try_wait.shared.b64 %p2, [%r1], %rd1; @!%p2 bra LOOP;"""
    body, data = ONE + INIT.format(1) + copy, (np.zeros(128, np.uint32),)
    with pytest.raises(DeadlockError, match="0 of 1 arrivals and -512 bytes missing"):
        run(body, data, module=SHARED, completion="early")
    read = "ld.shared.u32 %r2, [buffer];"  # the arrival alone completed the phase
    with pytest.raises(UninitialisedError, match="is still in flight"):
        run(body + read, data, module=SHARED)


def test_a_copy_of_cp_async_that_is_read_too_early():
    body = """mov.u32 %r1, buffer; shl.b32 %r2, %t, 4; add.u32 %r2, %r1, %r2;
        cvt.u64.u32 %rd1, %r2; mad.wide.u32 %rd2, %t, 16, %in0;
        cp.async.ca.shared.global [%r2], [%rd2], 16;
        ld.shared.u32 %r3, [%r2]; st.global.u32 [%me], %r3;"""
    data = np.zeros(128, np.uint32)
    with pytest.raises(UninitialisedError, match="is still in flight"):
        run(body, (data,), module=SHARED)
    with pytest.raises(RaceError, match=r"that a cp\.async of warp 0 wrote"):
        run(body, (data,), module=SHARED, completion="early")

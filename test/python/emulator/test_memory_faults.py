"""Accesses that are wrong: each is reported by name, place and what lies nearest."""

import re

import numpy as np
import pytest
from ptx_runner import run

from ix.emulator import Emulator
from ix.emulator.errors import (
    LaunchError,
    MisalignedError,
    OutOfBoundsError,
    UninitialisedError,
)

X = np.arange(32, dtype=np.uint32)
SHARED = ".shared .align 8 .b8 first[64];\n.shared .align 8 .b8 second[64];"


def test_a_read_behind_an_allocation():
    with pytest.raises(OutOfBoundsError) as info:
        run(
            """mad.wide.u32 %rd1, %i, 4, %in0;
            ld.global.u32 %r1, [%rd1+16];""",
            [X],
            grid=2,
            count=64,
        )
    message = str(info.value)
    assert re.search(
        r"^kernel 'k', PTX line \d+ `ld\.global\.u32 %r1, \[%rd1\+16\];`", message
    )
    assert "thread (28, 0, 0) of CTA (0, 0, 0)" in message
    assert "needs 4 bytes of global memory to read" in message
    assert "0 bytes behind the end of the 128-byte allocation at 0x7f" in message
    assert "check the index" in message
    assert (info.value.kernel, info.value.line > 0) == ("k", True)


@pytest.mark.parametrize("offset", [-4, 128, 4096, 1 << 30, -(1 << 40)])
def test_every_kind_of_stray_address(offset):
    with pytest.raises(OutOfBoundsError, match="needs 4 bytes of global memory"):
        run(f"add.u64 %rd1, %out, {offset}; st.global.u32 [%rd1], %t;")


def test_lanes_that_are_masked_off_are_not_checked():
    got = run(
        """setp.lt.u32 %p1, %t, 4;
        mad.wide.u32 %rd1, %t, 65536, %out;
        mad.wide.u32 %rd2, %t, 4, %out;
        selp.b64 %rd3, %rd2, %rd1, %p1;
        @%p1 st.global.u32 [%rd3], 7;""",
        initial=np.zeros(32),
    )
    assert got.sum() == 28


def test_one_bad_lane_among_several_allocations():
    """The lanes read two allocations; one reads the gap between them."""
    body = """setp.lt.u32 %p1, %t, 16;
        selp.b64 %rd1, %in0, %in1, %p1;
        and.b32 %r1, %t, 15;
        mad.wide.u32 %rd1, %r1, 4, %rd1;
        ld.global.u32 %r2, [%rd1];
        st.global.u32 [%me], %r2;"""
    assert (run(body, [X[:16], X[16:]]) == X).all()
    with pytest.raises(OutOfBoundsError, match=r"thread \(15, 0, 0\)"):
        run(body, [X[:15], X[16:]])


def test_freed_memory_is_out_of_bounds():
    emulator = Emulator()
    address = emulator.alloc(64)
    emulator.free(address)
    with pytest.raises(LaunchError, match="'read' needs 64 bytes of one allocation"):
        emulator.read(address, np.uint8, 64)
    with pytest.raises(LaunchError, match="'free' needs the start of an allocation"):
        emulator.free(address)


@pytest.mark.parametrize(
    ("instruction", "size"),
    [
        ("ld.global.u32 %r1, [%out+2];", 4),
        ("ld.global.v4.u32 {%r1, %r2, %r3, %r4}, [%out+8];", 16),
        ("st.global.u64 [%out+4], %out;", 8),
        ("atom.global.add.u32 %r1, [%out+1], 1;", 4),
    ],
)
def test_a_misaligned_access(instruction, size):
    with pytest.raises(MisalignedError) as info:
        run(instruction, initial=X)
    assert f"needs global addresses that are multiples of {size}, but 0x" in str(
        info.value
    )
    assert "align the pointer or use narrower accesses" in str(info.value)


def test_a_read_of_memory_that_nobody_wrote():
    with pytest.raises(UninitialisedError) as info:
        run("ld.global.u32 %r1, [%me];")
    assert "byte 0 of the access was never written" in str(info.value)
    assert "at byte 0 of the 128-byte allocation" in str(info.value)


def test_what_the_kernel_wrote_counts_as_written():
    body = """st.global.u32 [%me], %t;
        ld.global.u32 %r1, [%me];"""
    assert (run(body) == X).all()
    with pytest.raises(UninitialisedError, match="byte 4 of the access"):
        run(
            """mad.wide.u32 %rd1, %t, 8, %out;
            st.global.u32 [%rd1], %t;
            ld.global.u64 %rd2, [%rd1];""",
            count=64,
        )


def test_the_host_sees_what_is_initialised():
    emulator = Emulator()
    address = emulator.alloc(16)
    assert address % 256 == 0
    assert not emulator.memory_initialised(address, 4)
    emulator.write(address, np.zeros(2, np.float32))
    assert emulator.memory_initialised(address, 8)
    assert not emulator.memory_initialised(address, 9)
    assert np.isnan(emulator.read(address, np.float32, 4)[2:]).all()


def test_shared_memory_has_bounds_and_names():
    with pytest.raises(OutOfBoundsError) as info:
        run(
            "mad.lo.u32 %r1, %t, 4, 4; st.shared.u32 [%r1], %t;",
            module=".shared .align 8 .b8 only[128];",
        )
    assert "0 bytes behind the end of the 128-byte variable 'only'" in str(info.value)
    assert "launch with more shared memory" in str(info.value)


def test_a_shared_read_before_the_write():
    with pytest.raises(UninitialisedError) as info:
        run("ld.shared.u32 %r1, [second+8];", module=SHARED)
    assert "at byte 8 of the 64-byte variable 'second'" in str(info.value)


def test_misaligned_shared_memory():
    with pytest.raises(MisalignedError, match="at byte 2 of the 64-byte variable"):
        run("st.shared.u32 [first+2], %t;", module=SHARED)


def test_dynamic_shared_memory_is_as_long_as_launched():
    module = ".extern .shared .align 16 .b8 dynamic[];"
    body = "mad.lo.u32 %r1, %t, 4, 0; st.shared.u32 [%r1], %t;"
    run(body, module=module, shared_bytes=128)
    with pytest.raises(OutOfBoundsError, match="needs 4 bytes of shared memory"):
        run(body, module=module, shared_bytes=124)


def test_local_memory_is_checked_as_well():
    with pytest.raises(OutOfBoundsError, match="needs 4 bytes of local memory"):
        run(".local .b8 depot[8]; mov.u32 %r1, 8; st.local.u32 [%r1], %t;")
    with pytest.raises(UninitialisedError, match="initialised local memory"):
        run(".local .align 4 .b8 depot[8]; ld.local.u32 %r1, [depot];")


def test_parameters_and_constants_are_read_only():
    with pytest.raises(OutOfBoundsError, match="needs writable memory"):
        run(
            "mov.u64 %rd1, table; st.global.u32 [%rd1], %t;",
            module=".const .align 4 .u32 table[2] = {1, 2};",
        )


def test_the_fault_names_the_source_line():
    with pytest.raises(OutOfBoundsError, match=r", from model\.py:14:3: 'st"):
        run(
            ".loc 1 14 3\n st.global.u32 [%out+-4], %t;",
            module='.file 1 "model.py"',
        )


def test_a_parameter_is_not_read_beyond_its_end():
    from ix.emulator.errors import UnsupportedInstruction

    with pytest.raises(UnsupportedInstruction, match="beyond the 8 bytes"):
        run("ld.param.u64 %rd1, [k_out+4];")

"""Loads and stores: widths, vectors, spaces, generic addresses, and moves of data."""

import numpy as np
import pytest
from ptx_runner import HEADER, kernel_text, run, run_text

RNG = np.random.default_rng()
NARROW = {"u8": np.uint8, "s8": np.int8, "u16": np.uint16, "s16": np.int16}


@pytest.mark.parametrize("type_name", NARROW)
def test_narrow_loads_extend_by_their_sign(type_name):
    dtype = NARROW[type_name]
    x = RNG.integers(np.iinfo(dtype).min, np.iinfo(dtype).max, 32).astype(dtype)
    got = run(
        f"""mad.wide.u32 %rd1, %t, {dtype(0).itemsize}, %in0;
        ld.global.{type_name} %r1, [%rd1];
        st.global.u32 [%me], %r1;""",
        [x],
        out=np.int32,
    )
    assert (got == x.astype(np.int32)).all()


def test_a_narrow_store_takes_the_low_bits():
    x = RNG.integers(0, 1 << 32, 32, dtype=np.uint32)
    got = run(
        """mad.wide.u32 %rd1, %t, 4, %in0;
        ld.global.u32 %r1, [%rd1];
        mad.wide.u32 %rd2, %t, 1, %out;
        st.global.u8 [%rd2], %r1;""",
        [x],
        out=np.uint8,
    )
    assert (got == x.astype(np.uint8)).all()


@pytest.mark.parametrize(
    ("vector", "element", "count"),
    [
        ("v2", "b16", 2),
        ("v4", "b32", 4),
        ("v2", "b64", 2),
        ("v4", "b8", 4),
        ("v8", "b32", 8),
    ],
)
@pytest.mark.parametrize("space", ["global", "shared"])
def test_vectors_keep_their_order(vector, element, count, space):
    size = int(element[1:]) // 8
    x = RNG.integers(0, 1 << 8 * size, 32 * count, dtype=np.uint64)
    x = x.astype(f"u{size}")
    prefix = {8: "%r", 16: "%h", 32: "%r", 64: "%rd"}[8 * size]
    names = ", ".join(f"{prefix}{10 + i}" for i in range(count))
    swapped = ", ".join(f"{prefix}{10 + count - 1 - i}" for i in range(count))
    through = (
        f"""mov.u64 %rd4, buffer;
        mad.wide.u32 %rd4, %t, {size * count}, %rd4;
        st.shared.{vector}.{element} [%rd4], {{{names}}};
        ld.shared.{vector}.{element} {{{names}}}, [%rd4];"""
        if space == "shared"
        else ""
    )
    got = run(
        f"""mad.wide.u32 %rd1, %t, {size * count}, %in0;
        ld.global.nc.L1::no_allocate.{vector}.{element} {{{names}}}, [%rd1];
        {through}
        mad.wide.u32 %rd2, %t, {size * count}, %out;
        st.global.{vector}.{element} [%rd2], {{{swapped}}};""",
        [x],
        module=".shared .align 16 .b8 buffer[1024];",
        out=x.dtype,
        count=x.size,
    )
    assert (got.reshape(32, count) == x.reshape(32, count)[:, ::-1]).all()


def test_generic_addresses_are_told_apart_lane_by_lane():
    """Odd lanes read shared memory, even lanes global memory, in one instruction."""
    x = RNG.integers(0, 1 << 32, 32, dtype=np.uint32)
    got = run(
        """mov.u32 %r1, buffer;
        mad.lo.u32 %r1, %t, 4, %r1;
        add.u32 %r2, %t, 1000;
        st.shared.u32 [%r1], %r2;
        cvt.u64.u32 %rd1, %r1;
        cvta.shared.u64 %rd1, %rd1;
        mad.wide.u32 %rd2, %t, 4, %in0;
        and.b32 %r3, %t, 1;
        setp.ne.u32 %p1, %r3, 0;
        selp.b64 %rd3, %rd1, %rd2, %p1;
        ld.u32 %r4, [%rd3];
        isspacep.shared %p2, %rd3;
        selp.u32 %r5, 1, 0, %p2;
        xor.b32 %r4, %r4, %r5;
        st.u32 [%me], %r4;""",
        [x],
        module=".shared .align 4 .b8 buffer[128];",
    )
    lanes = np.arange(32)
    expected = np.where(lanes % 2, (lanes + 1000) ^ 1, x)
    assert (got == expected).all()


def test_local_memory_belongs_to_each_thread():
    got = run(
        """.local .align 8 .b8 depot[32];
        mov.u64 %rd1, depot;
        cvta.local.u64 %rd2, %rd1;
        st.local.u32 [%rd1+4], %t;
        add.u64 %rd2, %rd2, 4;
        ld.u32 %r1, [%rd2];
        st.global.u32 [%me], %r1;"""
    )
    assert (got == np.arange(32)).all()


def test_constants_and_tables_of_addresses():
    got = run(
        """mov.u64 %rd1, table;
        ld.const.u64 %rd2, [%rd1+8];
        and.b32 %r1, %t, 1;
        mad.wide.u32 %rd2, %r1, 4, %rd2;
        ld.global.u32 %r2, [%rd2];
        st.global.u32 [%me], %r2;""",
        module=""".global .align 4 .u32 values[4] = {11, 22, 33, 44};
        .const .align 8 .u64 table[2] = {generic(values), generic(values)+8};""",
    )
    assert (got == np.where(np.arange(32) % 2, 44, 33)).all()


def test_uninitialised_module_variables_hold_zeros():
    got = run(
        "ld.global.u32 %r1, [zeros+4]; st.global.u32 [%me], %r1;",
        module=".global .align 4 .u32 zeros[4];",
    )
    assert (got == 0).all()


def test_module_variables_live_between_launches():
    from ix.emulator import Emulator

    emulator = Emulator()
    module = emulator.load(
        f"""{HEADER}.global .u32 runs;
        .entry k() {{ .reg .u32 %r<2>; ld.global.u32 %r1, [runs];
        add.u32 %r1, %r1, 1; st.global.u32 [runs], %r1; ret; }}"""
    )
    for _ in range(3):
        emulator.launch(module, "k", 1, 1, [])
    address = module.addresses["runs"]
    assert emulator.read(address, np.uint32, 1) == 3


def test_parameters_are_read_by_name_and_by_address():
    emulator_text = f"""{HEADER}
    .entry k(.param .u8 small, .param .align 8 .b8 large[24], .param .u64 out) {{
        .reg .b32 %r<4>; .reg .b64 %rd<6>; .reg .b32 %t;
        ld.param.u8 %r1, [small];
        mov.b64 %rd1, large;
        mov.u32 %t, %tid.x;
        mul.wide.u32 %rd2, %t, 4;
        add.u64 %rd3, %rd1, %rd2;
        ld.param.u32 %r2, [%rd3+8];
        cvta.param.u64 %rd1, %rd1;
        ld.u32 %r3, [%rd1+4];
        add.u32 %r1, %r1, %r2;
        add.u32 %r1, %r1, %r3;
        ld.param.u64 %rd4, [out];
        add.u64 %rd4, %rd4, %rd2;
        st.global.u32 [%rd4], %r1;
        ret; }}"""
    from ix.emulator import Emulator

    emulator = Emulator()
    out = emulator.alloc(16)
    large = RNG.integers(0, 1 << 20, 6, dtype=np.uint32)
    emulator.launch(
        emulator.load(emulator_text),
        "k",
        1,
        4,
        [b"\x07", large.tobytes(), out.to_bytes(8, "little")],
    )
    got = emulator.read(out, np.uint32, 4)
    assert (got == 7 + large[2:] + large[1]).all()


def test_shared_arrays_share_dynamic_memory():
    got = run(
        """mov.u32 %r1, first;
        mov.u32 %r2, second;
        mov.u32 %r3, %dynamic_smem_size;
        mad.lo.u32 %r4, %t, 4, %r1;
        st.shared.u32 [%r4], %r3;
        mad.lo.u32 %r4, %t, 4, %r2;
        ld.shared.u32 %r5, [%r4];
        mad.lo.u32 %r5, %r1, 65536, %r5;
        st.global.u32 [%me], %r5;""",
        module=""".shared .align 4 .b8 fixed[20];
        .extern .shared .align 16 .b8 first[];
        .extern .shared .align 16 .b8 second[];""",
        shared_bytes=128,
    )
    assert (got == 32 * 65536 + 128).all()


def test_packing_and_unpacking_registers():
    x = RNG.integers(0, 1 << 63, 32, dtype=np.uint64)
    got = run(
        """mad.wide.u32 %rd1, %t, 8, %in0;
        ld.global.u64 %rd2, [%rd1];
        mov.b64 {%r1, %r2}, %rd2;
        mov.b64 %rd3, {%r2, %r1};
        mov.b64 {%h1, %h2, %h3, %h4}, %rd3;
        mov.b32 %r3, {%h3, %h4};
        xor.b32 %r3, %r3, %r2;
        st.global.u32 [%me], %r3;""",
        [x],
    )
    low, high = x.astype(np.uint32), (x >> np.uint64(32)).astype(np.uint32)
    assert (got == (low ^ high)).all()


def test_registers_of_128_bits_move_bits():
    x = RNG.integers(0, 1 << 63, 64, dtype=np.uint64)
    got = run(
        """.reg .b128 %q<2>;
        mad.wide.u32 %rd1, %t, 16, %in0;
        ld.global.b128 %q0, [%rd1];
        mov.b128 {%rd2, %rd3}, %q0;
        mov.b128 %q1, {%rd3, %rd2};
        mad.wide.u32 %rd4, %t, 16, %out;
        st.global.b128 [%rd4], %q1;""",
        [x],
        out=np.uint64,
        count=64,
    )
    assert (got.reshape(32, 2) == x.reshape(32, 2)[:, ::-1]).all()


def test_volatile_and_ordered_accesses_are_plain_moves():
    x = RNG.integers(0, 1 << 32, 32, dtype=np.uint32)
    got = run(
        """mad.wide.u32 %rd1, %t, 4, %in0;
        ld.volatile.global.u32 %r1, [%rd1];
        st.relaxed.gpu.global.u32 [%me], %r1;
        ld.acquire.gpu.global.u32 %r2, [%me];
        add.u32 %r2, %r2, 1;
        st.release.gpu.global.u32 [%me], %r2;""",
        [x],
    )
    assert (got == x + 1).all()


def test_hints_change_nothing():
    got = run(
        """prefetch.global.L2 [%out];
        prefetchu.L1 [%out];
        createpolicy.fractional.L2::evict_last.b64 %rd1, 1.0;
        st.global.L2::cache_hint.u32 [%me], %t, %rd1;
        ld.global.L1::evict_last.L2::128B.u32 %r1, [%me];
        griddepcontrol.wait; griddepcontrol.launch_dependents; nanosleep.u32 20;
        fence.acq_rel.gpu; membar.cta; fence.proxy.async;
        st.global.wb.u32 [%me], %r1;"""
    )
    assert (got == np.arange(32)).all()


def test_a_kernel_sees_its_grid():
    body = """mov.u32 %r1, %tid.y; mov.u32 %r2, %ntid.x;
        mad.lo.u32 %r3, %r1, %r2, %t;
        mov.u32 %r4, %ctaid.z; mov.u32 %r5, %nctaid.y;
        mov.u32 %r6, %ctaid.y; mad.lo.u32 %r4, %r4, %r5, %r6;
        mov.u32 %r5, %nctaid.x; mad.lo.u32 %r4, %r4, %r5, %c;
        mov.u32 %r7, %ntid.y; mul.lo.u32 %r2, %r2, %r7;
        mad.lo.u32 %r3, %r4, %r2, %r3;
        mad.wide.u32 %rd1, %r3, 4, %out;
        st.global.u32 [%rd1], %r3;"""
    text = kernel_text(body, 0, 0)
    got, _ = run_text(text, block=(8, 5), grid=(3, 2, 2), count=480)
    assert (got == np.arange(480)).all()


def test_lane_masks_and_ids():
    got = run(
        """mov.u32 %r1, %lanemask_lt; mov.u32 %r2, %lanemask_ge;
        xor.b32 %r1, %r1, %r2; popc.b32 %r1, %r1;
        mov.u32 %r3, %lanemask_le; popc.b32 %r3, %r3;
        mov.u32 %r4, %lanemask_gt; popc.b32 %r4, %r4;
        mov.u32 %r5, %lanemask_eq; mov.u32 %r6, %laneid; mov.u32 %r7, %warpid;
        shr.u32 %r5, %r5, %r6;
        mad.lo.u32 %r1, %r1, 100, %r3; add.u32 %r1, %r1, %r4;
        mad.lo.u32 %r1, %r7, 10000, %r1; add.u32 %r1, %r1, %r5;
        st.global.u32 [%me], %r1;""",
        block=64,
        count=64,
    )
    assert (got == np.repeat([3233, 13233], 32)).all()

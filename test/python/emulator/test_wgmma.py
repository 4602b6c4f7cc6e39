"""wgmma: types, layouts, signs, sparsity and order, through PTX."""

import numpy as np
import pytest
from ptx_runner import count, run
from tensor_reference import BITS, draw_codes, numbers, pack_a, swizzled, unpack_d

from ix.emulator.errors import DivergenceError, UnsupportedInstruction
from ix.emulator.tensor_errors import (
    MatrixDescriptorError,
    SparseMetadataError,
    WgmmaOrderError,
)

BYTES = 49152
MODULE = f".shared .align 1024 .b8 image[{BYTES}];"
A_AT, B_AT = 0, 16384
MODES = {0: 0, 128: 1, 64: 2, 32: 3}
DEPTH = {"tf32": 8, "f16": 16, "bf16": 16}
BOTH = pytest.mark.parametrize("completion", ["late", "early"])


def bytes_of(code, kind):
    return int(code).to_bytes(BITS[kind] // 8, "little")


def place_k_major(image, start, codes, kind, swizzle):
    """Lines of `swizzle` bytes along K; without one, core matrices of 8 × 16 bytes."""
    size = BITS[kind] // 8
    line = swizzle or 16
    leading, stride = 128, 8 * swizzle or 8 * codes.shape[1] * size
    for (row, column), code in np.ndenumerate(codes):
        at = column * size
        within = at if swizzle else at // 16 * leading + at % 16
        linear = start + row // 8 * stride + row % 8 * line + within
        for i, byte in enumerate(bytes_of(code, kind)):
            image[swizzled(linear + i, swizzle)] = byte
    return leading, stride


def place_mn_major(image, start, codes, kind, swizzle):
    """Lines of `swizzle` bytes along the rows; boxes of all columns one by one."""
    size, depth = BITS[kind] // 8, codes.shape[1]
    line = swizzle or 16
    box = depth * line  # bytes of all columns of one line's rows
    for (row, column), code in np.ndenumerate(codes):
        at = row * size
        linear = start + at // line * box + column * line + at % line
        for i, byte in enumerate(bytes_of(code, kind)):
            image[swizzled(linear + i, swizzle)] = byte
    return (box, 8 * line) if swizzle else (8 * line, box)


def descriptor(start, leading, stride, swizzle):
    bits = start >> 4 | leading >> 4 << 16 | stride >> 4 << 32 | MODES[swizzle] << 62
    return bits - (bits >> 63 << 64)


def braces(prefix, number):
    return "{" + ", ".join(f"%{prefix}{i}" for i in range(number)) + "}"


FILL = f"""mov.u32 %r1, image; mov.u32 %r10, %t;
    FILL: shl.b32 %r11, %r10, 4; cvt.u64.u32 %rd1, %r11; add.u64 %rd1, %in0, %rd1;
    ld.global.v4.u32 {{%r12, %r13, %r14, %r15}}, [%rd1]; add.u32 %r11, %r1, %r11;
    st.shared.v4.u32 [%r11], {{%r12, %r13, %r14, %r15}}; add.u32 %r10, %r10, 128;
    setp.lt.u32 %p9, %r10, {BYTES // 16}; @%p9 bra FILL;
    fence.proxy.async; bar.sync 0;"""
WAIT = "wgmma.commit_group.sync.aligned; wgmma.wait_group.sync.aligned 0;"


def program(operations, registers, a_registers=0):
    """A kernel: fills shared memory, loads C (and A), runs operations, stores D."""
    lines = [f".reg .b32 %dd<{registers}>; .reg .b32 %aa<8>; .reg .b32 %meta;", FILL]
    lines.append(f"mad.wide.u32 %rd2, %t, {4 * registers}, %in1;")
    lines += [f"ld.global.u32 %dd{i}, [%rd2+{4 * i}];" for i in range(registers)]
    if a_registers:
        lines.append(f"mad.wide.u32 %rd3, %t, {4 * a_registers}, %in2;")
        lines += [f"ld.global.u32 %aa{i}, [%rd3+{4 * i}];" for i in range(a_registers)]
    lines += ["wgmma.fence.sync.aligned;", operations]
    lines.append(f"mad.wide.u32 %rd4, %t, {4 * registers}, %out;")
    lines += [f"st.global.u32 [%rd4+{4 * i}], %dd{i};" for i in range(registers)]
    return "\n".join(lines)


def accumulators(n, d, random):
    """C as values [128, V], and as registers."""
    if d == "s32":
        values = random.integers(-(2**31), 2**31, (128, n // 2)).astype(np.int32)
    else:
        kind = np.float16 if d == "f16" else np.float32
        values = random.standard_normal((128, n // 2)).astype(kind)
    return values, values.view(np.uint32)


def launch(body, inputs, registers, **options):
    return run(
        body, inputs, module=MODULE, block=128, count=128 * registers, **options
    ).reshape(128, registers)


def check(got, a, b, start, d, sign=1):
    """D against float64; integers exactly."""
    rows, columns = 64, b.shape[1]
    kind = {"f16": np.float16, "f32": np.float32, "s32": np.int32}[d]
    found = unpack_d(got.view(kind), rows, columns)
    product = sign * (a @ b)
    base = unpack_d(start, rows, columns) if start is not None else 0
    if d == "s32":
        total = (product.astype(np.int64) + base).astype(np.uint64).astype(np.uint32)
        np.testing.assert_array_equal(found.view(np.uint32), total)
        return
    size = np.abs(a) @ np.abs(b) + np.abs(np.asarray(base, np.float64))
    unit = 2.0**-10 if d == "f16" else 2.0**-21
    assert (np.abs(found - (product + base)) <= unit * size).all()


TYPES = [
    ("f32", "f16", "f16", 64), ("f32", "bf16", "bf16", 256), ("f16", "f16", "f16", 24),
    ("f32", "tf32", "tf32", 16), ("f32", "e4m3", "e5m2", 32), ("f16", "e5m2", "e4m3", 8),
    ("s32", "s8", "s8", 32), ("s32", "u8", "s8", 64),
]  # fmt: skip


def scales(a, *, a_in_registers, transposed=(0, 0), signs=(1, 1)):
    """The immediates behind scale-d."""
    if a in ("s8", "u8"):
        return ""
    parts = [*signs]
    if a in ("f16", "bf16"):
        parts += transposed[1:] if a_in_registers else transposed
    return "".join(f", {x}" for x in parts)


@BOTH
@pytest.mark.parametrize("a_in_registers", [False, True])
@pytest.mark.parametrize(("d", "a_kind", "b_kind", "n"), TYPES)
def test_types(d, a_kind, b_kind, n, a_in_registers, completion):
    random, k = np.random.default_rng(), DEPTH.get(a_kind, 32)
    a, b = draw_codes(random, (64, k), a_kind), draw_codes(random, (k, n), b_kind)
    image = np.zeros(BYTES, np.uint8)
    a_desc = descriptor(A_AT, *place_k_major(image, A_AT, a, a_kind, 64), 64)
    b_desc = descriptor(B_AT, *place_k_major(image, B_AT, b.T, b_kind, 128), 128)
    start, words = accumulators(n, d, random)
    held = np.concatenate([pack_a(part, a_kind) for part in np.split(a, 4)])
    factor = braces("aa", 4) if a_in_registers else "%rd5"
    name = f"m64n{n}k{k}.{d}.{a_kind}.{b_kind}"
    body = program(
        f"""mov.b64 %rd5, {a_desc}; mov.b64 %rd6, {b_desc}; setp.eq.u32 %p1, 1, 1;
        wgmma.mma_async.sync.aligned.{name} {braces("dd", words.shape[1])}, {factor},
            %rd6, %p1{scales(a_kind, a_in_registers=a_in_registers)}; {WAIT}""",
        words.shape[1],
        4,
    )
    got = launch(body, (image, words, held), words.shape[1], completion=completion)
    check(got, numbers(a, a_kind), numbers(b, b_kind), start, d)


@pytest.mark.parametrize("swizzle", [0, 32, 64, 128])
@pytest.mark.parametrize("transposed", [(0, 0), (1, 0), (0, 1), (1, 1)])
def test_layouts(transposed, swizzle):
    random, n, k = np.random.default_rng(), 128, 16
    a, b = draw_codes(random, (64, k), "bf16"), draw_codes(random, (k, n), "bf16")
    image = np.zeros(BYTES, np.uint8)
    place = place_k_major, place_mn_major
    a_desc = place[transposed[0]](image, A_AT, a, "bf16", swizzle)
    b_desc = place[transposed[1]](image, B_AT, b.T, "bf16", swizzle)
    start, words = accumulators(n, "f32", random)
    body = program(
        f"""mov.b64 %rd5, {descriptor(A_AT, *a_desc, swizzle)};
        mov.b64 %rd6, {descriptor(B_AT, *b_desc, swizzle)}; setp.eq.u32 %p1, 1, 1;
        wgmma.mma_async.sync.aligned.m64n{n}k16.f32.bf16.bf16 {braces("dd", n // 2)},
            %rd5, %rd6, %p1{scales("bf16", a_in_registers=False, transposed=transposed)};
        {WAIT}""",
        n // 2,
    )
    got = launch(body, (image, words), n // 2)
    check(got, numbers(a, "bf16"), numbers(b, "bf16"), start, "f32")


@BOTH
@pytest.mark.parametrize("signs", [(1, 1), (-1, 1), (1, -1), (-1, -1)])
@pytest.mark.parametrize("accumulates", [True, False])
def test_signs_and_first_products(accumulates, signs, completion):
    random, n = np.random.default_rng(), 16
    a, b = draw_codes(random, (64, 16), "f16"), draw_codes(random, (16, n), "f16")
    image = np.zeros(BYTES, np.uint8)
    a_desc = descriptor(A_AT, *place_k_major(image, A_AT, a, "f16", 32), 32)
    b_desc = descriptor(B_AT, *place_k_major(image, B_AT, b.T, "f16", 32), 32)
    start, words = accumulators(n, "f32", random)
    body = program(
        f"""mov.b64 %rd5, {a_desc}; mov.b64 %rd6, {b_desc};
        wgmma.mma_async.sync.aligned.m64n{n}k16.f32.f16.f16 {braces("dd", 8)}, %rd5,
            %rd6, {int(accumulates)}, {signs[0]}, {signs[1]}, 0, 0; {WAIT}""",
        8,
    )
    got = launch(body, (image, words), 8, completion=completion)
    first = start if accumulates else None
    check(got, numbers(a, "f16"), numbers(b, "f16"), first, "f32", signs[0] * signs[1])


CHAIN = """wgmma.mma_async.sync.aligned.m64n16k16.f32.f16.f16 {d}, %rd5, %rd6, 1, 1, 1,
    0, 0; wgmma.commit_group.sync.aligned;"""


def chained(wait, tail=""):
    operations = CHAIN.replace("{d}", braces("dd", 8))
    return program(
        "mov.b64 %rd5, A; mov.b64 %rd6, B;" + 3 * operations + wait + tail, 8
    )


def chain_operands():
    random = np.random.default_rng()
    a, b = draw_codes(random, (64, 16), "f16"), draw_codes(random, (16, 16), "f16")
    image = np.zeros(BYTES, np.uint8)
    a_desc = descriptor(A_AT, *place_k_major(image, A_AT, a, "f16", 32), 32)
    b_desc = descriptor(B_AT, *place_k_major(image, B_AT, b.T, "f16", 32), 32)
    start, words = accumulators(16, "f32", random)

    def bind(body):
        return body.replace(" A;", f" {a_desc};").replace(" B;", f" {b_desc};")

    return bind, (image, words), numbers(a, "f16"), numbers(b, "f16"), start


@BOTH
def test_operations_on_the_same_accumulators_follow_one_another(completion):
    bind, inputs, a, b, start = chain_operands()
    body = bind(chained("wgmma.wait_group.sync.aligned 0;"))
    got = launch(body, inputs, 8, completion=completion)
    found = unpack_d(got.view(np.float32), 64, 16)
    want = 3 * (a @ b) + unpack_d(start, 64, 16)
    np.testing.assert_allclose(found, want, rtol=0, atol=2e-5)


def test_accumulators_are_poison_until_their_group_is_waited_for():
    bind, inputs, *_ = chain_operands()
    end = "wgmma.wait_group.sync.aligned 1; mov.b32 %meta, %dd0;"
    store = "mad.wide.u32 %rd7, %t, 4, %out; st.global.u32 [%rd7], %meta;"
    body = bind(chained(end)).split("mad.wide.u32 %rd4")[0]
    got = launch(body + store + "wgmma.wait_group.sync.aligned 0;", inputs, 1)
    assert np.isnan(got.view(np.float32)).all()


def test_an_end_with_operations_in_flight_is_reported():
    bind, inputs, *_ = chain_operands()
    body = bind(chained("wgmma.wait_group.sync.aligned 1;"))
    with pytest.raises(WgmmaOrderError, match="warpgroup ends with some in flight"):
        launch(body, inputs, 8)


def test_a_write_behind_the_fence_is_reported():
    bind, inputs, *_ = chain_operands()
    fence = "wgmma.fence.sync.aligned;"
    late = bind(chained("wgmma.wait_group.sync.aligned 0;"))
    body = late.replace(fence, f"{fence} add.u32 %dd3, %dd3, 1;")
    with pytest.raises(WgmmaOrderError, match="a register has changed since the last"):
        launch(body, inputs, 8)
    launch(late.replace(fence, f"add.u32 %dd3, %dd3, 1; {fence}"), inputs, 8)


@pytest.mark.parametrize("waits", [False, True])
def test_factors_in_registers_are_not_written_in_flight(waits):
    bind, (image, words), a, b, start = chain_operands()
    codes = a.astype(np.float16).view(np.uint16)
    held = np.concatenate([pack_a(part, "f16") for part in np.split(codes, 4)])
    text = CHAIN.replace("{d}", braces("dd", 8)).replace("%rd5", braces("aa", 4))
    text = text.replace("1, 1, 1,\n    0, 0;", "1, 1, 1, 0;")
    wait = "wgmma.wait_group.sync.aligned 0;"
    clear = "mov.b32 %aa2, 0;"
    tail = wait + clear if waits else clear + wait
    body = bind(program("mov.b64 %rd6, B;" + text + tail, 8, 4))
    if waits:
        got = launch(body, (image, words, held), 8)
        check(got, a, b, start, "f32")
        return
    with pytest.raises(WgmmaOrderError, match="registers of A that nobody writes"):
        launch(body, (image, words, held), 8)


@pytest.mark.parametrize("schedule", ["lockstep", 1])
def test_ctas_of_half_warpgroups_are_refused(schedule):
    text = "wgmma.fence.sync.aligned;"
    with pytest.raises(DivergenceError, match=r"whole warpgroups, but .* 160 threads"):
        run(text, block=160, schedule=schedule)


def test_a_second_chain_needs_no_fence_behind_the_wait():
    bind, inputs, *_ = chain_operands()
    again = CHAIN.replace("{d}", braces("dd", 8)) + "wgmma.wait_group.sync.aligned 0;"
    launch(bind(chained("wgmma.wait_group.sync.aligned 0;", again)), inputs, 8)


def test_accumulators_in_flight_in_another_order_are_reported():
    bind, inputs, *_ = chain_operands()
    turned = "{" + ", ".join(f"%dd{i}" for i in range(7, -1, -1)) + "}"
    body = bind(chained(CHAIN.replace("{d}", turned)))
    with pytest.raises(WgmmaOrderError, match="no operation of another shape has in f"):
        launch(body, inputs, 8)


SPARSE = [("f16", "f32", 32, 2), ("bf16", "f32", 32, 2), ("tf32", "f32", 16, 2),
          ("e4m3", "f32", 64, 4), ("s8", "s32", 64, 4)]  # fmt: skip


@pytest.mark.parametrize("a_in_registers", [False, True])
@pytest.mark.parametrize(("kind", "d", "k", "lanes"), SPARSE)
def test_sparse_factors(kind, d, k, lanes, a_in_registers):
    random, n = np.random.default_rng(), 16
    bits = BITS[kind]
    size, codes = (2, (4, 14)) if bits == 32 else (4, (4, 8, 9, 12, 13, 14))
    chunks = random.choice(codes, (64, k // size)).astype(np.uint8)
    kept = draw_codes(random, (64, k // 2), kind)
    dense = np.zeros((64, k), kept.dtype)
    metadata = random.integers(0, 2**32, 128, dtype=np.uint32)
    selector = int(random.integers(0, 4 // lanes))
    for (row, chunk), code in np.ndenumerate(chunks):
        spots = [code == 14] if bits == 32 else [code & 3, code >> 2]
        for i, spot in enumerate(spots):
            dense[row, size * chunk + spot] = kept[row, len(spots) * chunk + i]
        warp, line = divmod(row, 16)
        lane, shift = chunk // 4, chunk % 4 * 4 + line // 8 * 16
        if bits == 8:
            lane, shift = chunk // 8 * 2 + line // 8, chunk % 8 * 4
        at = 32 * warp + line % 8 * 4 + selector * lanes + lane
        metadata[at] = int(metadata[at]) & ~(15 << shift) | int(code) << shift
    b = draw_codes(random, (k, n), kind)
    image = np.zeros(BYTES, np.uint8)
    a_desc = descriptor(A_AT, *place_k_major(image, A_AT, kept, kind, 128), 128)
    b_desc = descriptor(B_AT, *place_k_major(image, B_AT, b.T, kind, 128), 128)
    start, words = accumulators(n, d, random)
    held = np.concatenate([pack_a(part, kind) for part in np.split(kept, 4)])
    factor = braces("aa", 4) if a_in_registers else "%rd5"
    body = program(
        f"""mov.b64 %rd5, {a_desc}; mov.b64 %rd6, {b_desc};
        mad.wide.u32 %rd7, %t, 4, %in3; ld.global.u32 %meta, [%rd7];
        wgmma.mma_async.sp.sync.aligned.m64n{n}k{k}.{d}.{kind}.{kind} {braces("dd", 8)},
            {factor}, %rd6, %meta, {selector}, 1
            {scales(kind, a_in_registers=a_in_registers)}; {WAIT}""",
        8,
        4,
    )
    got = launch(body, (image, words, held, metadata), 8)
    check(got, numbers(dense, kind), numbers(b, kind), start, d)
    bad = body.replace("ld.global.u32 %meta, [%rd7];", "mov.b32 %meta, 0;")
    with pytest.raises(SparseMetadataError, match="needs metadata among"):
        launch(bad, (image, words, held, metadata), 8)


ONE = (
    """mov.b64 %rd5, A; mov.b64 %rd6, B; setp.lt.u32 %p1, %t, 64;
    {p} wgmma.mma_async.sync.aligned.m64n16k16.f32.f16.f16 {d}, %rd5, %rd6, 1, 1, 1, {t};
    """
    + WAIT
)


def one(predicate="", transposed="0, 0"):
    text = ONE.replace("{d}", braces("dd", 8)).replace("{p}", predicate)
    return program(text.replace("{t}", transposed), 8)


def test_half_of_a_warpgroup_cannot_multiply():
    bind, inputs, *_ = chain_operands()
    with pytest.raises(DivergenceError, match="all 128 threads of a warpgroup"):
        launch(bind(one("@%p1")), inputs, 8)


def test_meaningless_descriptors_are_reported():
    bind, inputs, *_ = chain_operands()
    body = bind(one()).replace("setp.lt.u32", "or.b64 %rd6, %rd6, 32768; setp.lt.u32")
    with pytest.raises(MatrixDescriptorError, match="zero in the reserved bits"):
        launch(body, inputs, 8)
    narrow = bind(one()).replace("k16.f32.f16.f16", "k8.f32.tf32.tf32")
    with pytest.raises(UnsupportedInstruction, match="a scale is neither 1 nor -1"):
        launch(narrow.replace("1, 1, 1, 0, 0;", "1, 2, 1;"), inputs, 8)


def test_factors_of_other_types_cannot_be_transposed():
    bind, inputs, *_ = chain_operands()
    narrow = bind(one()).replace("k16.f32.f16.f16", "k8.f32.tf32.tf32")
    with pytest.raises(MatrixDescriptorError, match="only 16-bit types can be trans"):
        launch(narrow.replace("1, 1, 1, 0, 0;", "1, 1, 1, 0, 1;"), inputs, 8)


def test_shapes_that_do_not_exist_are_refused():
    bind, inputs, *_ = chain_operands()
    body = bind(one()).replace("m64n16k16", "m64n16k32")
    with pytest.raises(UnsupportedInstruction, match="m64n16k32 of f16 is not among"):
        launch(body, inputs, 8)
    body = bind(one()).replace("m64n16k16", "m64n24k16")
    with pytest.raises(UnsupportedInstruction, match="accumulator has 8 of 12 regist"):
        launch(body, inputs, 8)


def test_operations_and_flops_are_counted():
    bind, inputs, *_ = chain_operands()
    body = bind(chained("wgmma.wait_group.sync.aligned 0;"))
    counters = count(body, inputs, module=MODULE, block=128, count=1024)
    assert counters["tensor_operations"] == 3
    assert counters["tensor_flops"] == 3 * 2 * 64 * 16 * 16

"""mma.sync, ldmatrix, stmatrix and movmatrix, through PTX."""

import numpy as np
import pytest
from ptx_runner import count, kernel_text, run, run_text
from tensor_reference import draw_codes, numbers, pack_a, pack_b, unpack_d

from ix.emulator.element_types import decode
from ix.emulator.errors import (
    DivergenceError,
    MisalignedError,
    OutOfBoundsError,
    UnsupportedInstruction,
)
from ix.emulator.tensor_errors import SparseMetadataError
from ix.emulator.tensorcore import Operation, fused_sum, multiply_add


def registers_of(prefix, number):
    return "{" + ", ".join(f"%{prefix}{i}" for i in range(number)) + "}"


def load_lanes(pointer, prefix, number, size, first=0):
    """Loads a lane's registers from row `lane` of an array."""
    lines = [f"mad.wide.u32 %rd9, %t, {number * size}, {pointer};"]
    for i in range(number):
        lines.append(f"ld.global.b{8 * size} %{prefix}{first + i}, [%rd9+{size * i}];")
    return "\n".join(lines)


DECLARED = """.reg .b32 %a<8>; .reg .b32 %b<8>; .reg .b32 %cc<8>; .reg .b32 %dd<8>;
.reg .b64 %aw<8>; .reg .b64 %bw<8>; .reg .b64 %cw<8>; .reg .b64 %dw<8>;
.reg .b32 %meta;"""


def execute(name, a, b, c, tail="", extra=(), setup="", **options):
    """Runs one mma; the registers of D, [32, R], as C's."""
    wide = a.itemsize == 8
    suffix, size = ("w", 8) if wide else ("", 4)
    wide_c = c.itemsize == 8
    size_c = 8 if wide_c else 4
    names_c = ("cw", "dw") if wide_c else ("cc", "dd")
    body = "\n".join(
        [
            DECLARED,
            load_lanes("%in0", f"a{suffix}", a.shape[1], size),
            load_lanes("%in1", f"b{suffix}", b.shape[1], size),
            load_lanes("%in2", names_c[0], c.shape[1], size_c),
            setup,
            f"{name} {registers_of(names_c[1], c.shape[1])}, "
            f"{registers_of(f'a{suffix}', a.shape[1])}, "
            f"{registers_of(f'b{suffix}', b.shape[1])}, "
            f"{registers_of(names_c[0], c.shape[1])}{tail};",
            f"mad.wide.u32 %rd9, %t, {c.shape[1] * size_c}, %out;",
            *(
                f"st.global.b{8 * size_c} [%rd9+{size_c * i}], %{names_c[1]}{i};"
                for i in range(c.shape[1])
            ),
        ]
    )
    kind = np.uint64 if wide_c else np.uint32
    found = run(body, (a, b, c, *extra), out=kind, count=c.size, **options)
    return found.reshape(c.shape)


FLOAT_FORMS = [
    ("f16", "f16", 16, 8), ("f16", "f16", 16, 16), ("bf16", "bf16", 16, 8),
    ("bf16", "bf16", 16, 16), ("tf32", "tf32", 16, 4), ("tf32", "tf32", 16, 8),
    ("e4m3", "e5m2", 16, 32), ("e5m2", "e4m3", 16, 16), ("e4m3", "e4m3", 16, 32),
]  # fmt: skip


@pytest.mark.parametrize(("a_kind", "b_kind", "m", "k"), FLOAT_FORMS)
def test_products_into_f32(a_kind, b_kind, m, k):
    random = np.random.default_rng()
    a, b = draw_codes(random, (m, k), a_kind), draw_codes(random, (k, 8), b_kind)
    c = random.standard_normal((32, 4)).astype(np.float32)
    name = f"mma.sync.aligned.m{m}n8k{k}.row.col.f32.{a_kind}.{b_kind}.f32"
    registers = pack_a(a, a_kind), pack_b(b, b_kind), c.view(np.uint32)
    got = unpack_d(execute(name, *registers).view(np.float32), m, 8)
    left, right = numbers(a, a_kind), numbers(b, b_kind)
    start = unpack_d(c, m, 8).astype(np.float64)
    size = np.abs(left) @ np.abs(right) + np.abs(start)
    assert (np.abs(got - (left @ right + start)) <= 2.0**-21 * size).all()
    exact = unpack_d(execute(name, *registers, exact=True).view(np.float32), m, 8)
    operation = Operation(
        a_kind, b_kind, "f32", fused=fused_sum(90, "mma", a_kind, "f32")
    )
    want = multiply_add(
        decode(a, a_kind), decode(b, b_kind), unpack_d(c, m, 8), operation
    )
    np.testing.assert_array_equal(exact, want)


@pytest.mark.parametrize("k", [8, 16])
def test_products_into_f16(k):
    random = np.random.default_rng()
    a, b = draw_codes(random, (16, k), "f16"), draw_codes(random, (k, 8), "f16")
    c = random.standard_normal((32, 4)).astype(np.float16)
    name = f"mma.sync.aligned.m16n8k{k}.row.col.f16.f16.f16.f16"
    got = execute(name, pack_a(a, "f16"), pack_b(b, "f16"), c.view(np.uint32))
    got = unpack_d(got.view(np.float16), 16, 8).astype(np.float64)
    exact = numbers(a, "f16") @ numbers(b, "f16") + unpack_d(c, 16, 8).astype(float)
    assert (np.abs(got - exact) <= 2.0**-10 * np.abs(exact) + 2.0**-14).all()


@pytest.mark.parametrize("saturate", [False, True])
@pytest.mark.parametrize(
    ("a_kind", "b_kind", "m", "k"),
    [("s8", "s8", 16, 32), ("u8", "s8", 16, 16), ("s8", "u8", 8, 16),
     ("s4", "u4", 16, 64), ("u4", "u4", 16, 32), ("s4", "s4", 8, 32)],
)  # fmt: skip
def test_integer_products(a_kind, b_kind, m, k, saturate):
    random = np.random.default_rng()
    a, b = draw_codes(random, (m, k), a_kind), draw_codes(random, (k, 8), b_kind)
    c = random.integers(-(2**31), 2**31, (32, m // 4)).astype(np.int32)
    c[:, 0] = random.choice([2**31 - 1, -(2**31)], 32)
    flag = ".satfinite" if saturate else ""
    name = f"mma.sync.aligned.m{m}n8k{k}.row.col{flag}.s32.{a_kind}.{b_kind}.s32"
    got = execute(name, pack_a(a, a_kind), pack_b(b, b_kind), c.view(np.uint32))
    total = (numbers(a, a_kind) @ numbers(b, b_kind)).astype(np.int64)
    total += unpack_d(c, m, 8)
    total = np.clip(total, -(2**31), 2**31 - 1) if saturate else total
    want = total.astype(np.uint64).astype(np.uint32)
    np.testing.assert_array_equal(unpack_d(got, m, 8), want)


@pytest.mark.parametrize("operation", ["xor", "and"])
@pytest.mark.parametrize(("m", "k"), [(8, 128), (16, 128), (16, 256)])
def test_bit_products(m, k, operation):
    random = np.random.default_rng()
    a, b = draw_codes(random, (m, k), "b1"), draw_codes(random, (k, 8), "b1")
    c = random.integers(-99, 99, (32, m // 4)).astype(np.int32)
    name = f"mma.sync.aligned.m{m}n8k{k}.row.col.s32.b1.b1.s32.{operation}.popc"
    got = execute(name, pack_a(a, "b1"), pack_b(b, "b1"), c.view(np.uint32))
    both = a[:, :, None], b[None]
    bits = both[0] ^ both[1] if operation == "xor" else both[0] & both[1]
    want = bits.sum(1, dtype=np.int32) + unpack_d(c, m, 8)
    np.testing.assert_array_equal(unpack_d(got, m, 8).view(np.int32), want)


@pytest.mark.parametrize(("m", "k"), [(8, 4), (16, 4), (16, 8), (16, 16)])
def test_double_precision_products(m, k):
    random = np.random.default_rng()
    a, b = draw_codes(random, (m, k), "f64"), draw_codes(random, (k, 8), "f64")
    c = random.standard_normal((32, m // 4))
    name = f"mma.sync.aligned.m{m}n8k{k}.row.col.f64.f64.f64.f64"
    got = execute(name, pack_a(a, "f64"), pack_b(b, "f64"), c.view(np.uint64))
    want = numbers(a, "f64") @ numbers(b, "f64") + unpack_d(c, m, 8)
    np.testing.assert_allclose(
        unpack_d(got.view(np.float64), m, 8), want, rtol=0, atol=1e-14
    )


def pack_metadata(chunks, bits, lanes, selector, random):
    """The metadata register of each lane; lanes that do not count hold noise."""
    metadata = random.integers(0, 2**32, 32, dtype=np.uint32)
    for row, chunk in np.ndindex(*chunks.shape):
        if bits == 8:
            lane, shift = chunk // 8 * 2 + row // 8, chunk % 8 * 4
        else:
            lane, shift = chunk // 4, chunk % 4 * 4 + row // 8 * 16
        at = row % 8 * 4 + selector * lanes + lane
        cleared = int(metadata[at]) & ~(15 << shift)
        metadata[at] = cleared | int(chunks[row, chunk]) << shift
    return metadata


SPARSE = [("f16", 16, 1), ("f16", 32, 2), ("bf16", 32, 2), ("tf32", 8, 1),
          ("tf32", 16, 2), ("s8", 32, 2), ("u8", 64, 4), ("e4m3", 64, 4)]  # fmt: skip


def sparse_operands(kind, k, lanes, random):
    """(kept A, chunks, dense A) with a random pattern of zeros."""
    bits = {"f16": 16, "bf16": 16, "tf32": 32}.get(kind, 8)
    size, kinds = (2, (4, 14)) if bits == 32 else (4, (4, 8, 9, 12, 13, 14))
    chunks = random.choice(kinds, (16, k // size)).astype(np.uint8)
    kept = draw_codes(random, (16, k // 2), kind)
    dense = np.zeros((16, k), kept.dtype)
    for row, chunk in np.ndindex(*chunks.shape):
        code = int(chunks[row, chunk])
        places = [code == 14] if bits == 32 else [code & 3, code >> 2]
        for i, place in enumerate(places):
            dense[row, size * chunk + place] = kept[row, len(places) * chunk + i]
    return bits, kept, chunks, dense


@pytest.mark.parametrize(("kind", "k", "lanes"), SPARSE)
def test_sparse_products(kind, k, lanes):
    random = np.random.default_rng()
    bits, kept, chunks, dense = sparse_operands(kind, k, lanes, random)
    b = draw_codes(random, (k, 8), kind)
    whole = kind in ("s8", "u8")
    c = random.integers(-9, 9, (32, 4)).astype(np.int32 if whole else np.float32)
    d = "s32" if whole else "f32"
    for selector in range(4 // lanes):
        metadata = pack_metadata(chunks, bits, lanes, selector, random)
        got = execute(
            f"mma.sp::ordered_metadata.sync.aligned.m16n8k{k}.row.col.{d}.{kind}."
            f"{kind}.{d}",
            pack_a(kept, kind),
            pack_b(b, kind),
            c.view(np.uint32),
            tail=f", %meta, {selector}",
            extra=(metadata,),
            setup="mad.wide.u32 %rd9, %t, 4, %in3; ld.global.b32 %meta, [%rd9];",
        )
        left, right = numbers(dense, kind), numbers(b, kind)
        want = left @ right + unpack_d(c, 16, 8)
        size = np.abs(left) @ np.abs(right) + 9
        error = np.abs(unpack_d(got.view(c.dtype), 16, 8) - want)
        assert (error <= (0 if whole else 2.0**-21 * size)).all()


@pytest.mark.parametrize(
    ("selector", "metadata", "says"),
    [(0, 0, "needs metadata among 0b0100, .* but row 0, chunk 0 has 0b0000"),
     (2, 0x44444444, "needs a sparsity selector below 2, but it is 2")],
)  # fmt: skip
def test_meaningless_sparsity_is_reported(selector, metadata, says):
    zeros = np.zeros((32, 4), np.uint32)
    with pytest.raises(SparseMetadataError, match=says) as report:
        execute(
            "mma.sp.sync.aligned.m16n8k32.row.col.f32.f16.f16.f32",
            zeros, zeros, zeros,
            tail=f", %meta, {selector}",
            setup=f"mov.b32 %meta, {metadata};",
        )  # fmt: skip
    assert "mma.sp.sync" in str(report.value)


@pytest.mark.parametrize(
    "name", ["m8n8k8.row.col.f32.f16.f16.f32", "m16n8k32.row.col.f32.f16.f16.f32"]
)
def test_shapes_that_do_not_exist_are_refused(name):
    zeros = np.zeros((32, 4), np.uint32)
    with pytest.raises(UnsupportedInstruction, match="of f16 into f32 is not among"):
        execute(f"mma.sync.aligned.{name}", zeros, zeros, zeros)


def test_operations_and_flops_are_counted():
    body = f"{DECLARED} mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 "
    body += "{%dd0, %dd1, %dd2, %dd3}, {%a0, %a1, %a2, %a3}, {%b0, %b1}, "
    body += "{%cc0, %cc1, %cc2, %cc3};"
    counters = count(body, block=96, grid=2)
    assert counters["tensor_operations"] == 6
    assert counters["tensor_flops"] == 6 * 2 * 16 * 8 * 16


TILES = ".shared .align 128 .b8 tiles[2048];"
ROW = "shl.b32 %r1, %t, 4; mov.u32 %r2, tiles; add.u32 %r2, %r2, %r1;"


@pytest.mark.parametrize("generic", [False, True])
@pytest.mark.parametrize("transposed", ["", ".trans"])
@pytest.mark.parametrize("number", [1, 2, 4])
def test_ldmatrix(number, transposed, generic):
    random = np.random.default_rng()
    rows = random.integers(0, 2**16, (32, 8), dtype=np.uint16)
    space, address = ".shared", "%r2"
    convert = ""
    if generic:
        space, address = "", "%rd5"
        convert = "cvt.u64.u32 %rd4, %r2; cvta.shared.u64 %rd5, %rd4;"
    got = run(
        f"""{ROW} mad.wide.u32 %rd1, %t, 16, %in0;
        ld.global.v4.u32 {{%r10, %r11, %r12, %r13}}, [%rd1];
        st.shared.v4.u32 [%r2], {{%r10, %r11, %r12, %r13}};
        bar.warp.sync -1; {convert}
        ldmatrix.sync.aligned.m8n8.x{number}{transposed}{space}.b16
            {registers_of("r2", number).replace("%r2", "%r2")}, [{address}];
        mad.wide.u32 %rd2, %t, {4 * number}, %out;
        """
        + "".join(f"st.global.u32 [%rd2+{4 * i}], %r2{i};" for i in range(number)),
        (rows,),
        module=TILES,
        count=32 * number,
    ).reshape(32, number)
    for lane, tile, half in np.ndindex(32, number, 2):
        row, column = lane // 4, lane % 4 * 2 + half
        if transposed:
            row, column = column, row
        want = rows[8 * tile + row, column]
        assert int(got[lane, tile]) >> (16 * half) & 0xFFFF == want


@pytest.mark.parametrize("transposed", ["", ".trans"])
def test_stmatrix_undoes_ldmatrix(transposed):
    rows = np.random.default_rng().integers(0, 2**32, (32, 4), dtype=np.uint32)
    got = run(
        f"""{ROW} mad.wide.u32 %rd1, %t, 16, %in0;
        ld.global.v4.u32 {{%r10, %r11, %r12, %r13}}, [%rd1];
        st.shared.v4.u32 [%r2], {{%r10, %r11, %r12, %r13}};
        bar.warp.sync -1;
        ldmatrix.sync.aligned.m8n8.x4{transposed}.shared.b16
            {{%r20, %r21, %r22, %r23}}, [%r2];
        stmatrix.sync.aligned.m8n8.x4{transposed}.shared.b16
            [%r2+1024], {{%r20, %r21, %r22, %r23}};
        bar.warp.sync -1;
        ld.shared.v4.u32 {{%r10, %r11, %r12, %r13}}, [%r2+1024];
        mad.wide.u32 %rd2, %t, 16, %out;
        st.global.v4.u32 [%rd2], {{%r10, %r11, %r12, %r13}};""",
        (rows,),
        module=TILES,
        count=128,
    )
    np.testing.assert_array_equal(got.reshape(32, 4), rows)


def test_movmatrix_transposes():
    tile = np.random.default_rng().integers(0, 2**16, (8, 8), dtype=np.uint16)
    got = run(
        """mad.wide.u32 %rd1, %t, 4, %in0;
        ld.global.u32 %r1, [%rd1];
        movmatrix.sync.aligned.m8n8.trans.b16 %r2, %r1;
        st.global.u32 [%me], %r2;""",
        (tile,),
    )
    np.testing.assert_array_equal(got.view(np.uint16).reshape(8, 8), tile.T)


def ldmatrix_rows(stride):
    """Counts the wavefronts of ldmatrix.x4 with rows so many bytes apart."""
    body = f"""mul.lo.u32 %r1, %t, {stride}; mov.u32 %r2, big; add.u32 %r2, %r2, %r1;
        st.shared.v4.u32 [%r2], {{%r1, %r1, %r1, %r1}};
        bar.warp.sync -1;
        ldmatrix.sync.aligned.m8n8.x4.shared.b16 {{%r20, %r21, %r22, %r23}}, [%r2];"""
    text = kernel_text(body, 0, 32, module=".shared .align 128 .b8 big[8192];")
    return run_text(text)[1]


def test_bank_conflicts_of_ldmatrix_are_counted():
    for stride, conflicts in ((16, 0), (144, 0), (128, 28), (64, 12), (32, 4)):
        counters = ldmatrix_rows(stride)
        assert counters["shared_load_wavefronts"] == 4 + conflicts
        assert counters["shared_load_conflicts"] == conflicts


@pytest.mark.parametrize(
    ("offset", "kind", "says"),
    [(8, MisalignedError, "16"), (1 << 20, OutOfBoundsError, "2048-byte")],
)
def test_bad_addresses_of_ldmatrix_are_reported(offset, kind, says):
    with pytest.raises(kind, match=says):
        run(
            f"{ROW} add.u32 %r2, %r2, {offset};"
            "ldmatrix.sync.aligned.m8n8.x1.shared.b16 {%r20}, [%r2];",
            module=TILES,
        )


def test_a_generic_address_must_be_one_of_shared_memory():
    with pytest.raises(OutOfBoundsError, match="needs an address of shared memory"):
        run("ldmatrix.sync.aligned.m8n8.x1.b16 {%r20}, [%out];", module=TILES)


def test_a_part_of_a_warp_cannot_load_matrices():
    with pytest.raises(DivergenceError, match="predicate excludes some"):
        run(
            f"{ROW} setp.lt.u32 %p1, %t, 16;"
            "@%p1 ldmatrix.sync.aligned.m8n8.x1.shared.b16 {%r20}, [%r2];",
            module=TILES,
        )


def test_tiles_of_other_architectures_are_refused():
    with pytest.raises(UnsupportedInstruction, match="other tiles than m8n8 of b16"):
        run(
            f"{ROW} ldmatrix.sync.aligned.m16n16.x1.trans.shared.b8 {{%r20, %r21}}, "
            "[%r2];",
            module=TILES,
        )

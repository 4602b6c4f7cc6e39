"""Bulk copies of bytes and of tensors, against scalar copies element by element."""

import numpy as np
import pytest
from ptx_runner import count, run
from tensor_reference import tile_bytes

from ix.emulator.errors import MisalignedError, OutOfBoundsError
from ix.emulator.tensor_errors import TensorMapError
from ix.runtime.tensor_map import TensorMap

SIZE = 8192
MODULE = f".shared .align 1024 .b8 tile[{SIZE}]; .shared .align 8 .b64 bar;"
BOTH = pytest.mark.parametrize("completion", ["late", "early"])
INIT = """mov.u32 %r1, tile; mov.u32 %r2, bar; setp.eq.u32 %p1, %t, 0;
    @%p1 mbarrier.init.shared.b64 [%r2], 1; fence.mbarrier_init.release.cluster;
    bar.sync 0;"""
CLEAR = f"""mov.u32 %r10, %t; CLEAR: shl.b32 %r11, %r10, 4; add.u32 %r11, %r1, %r11;
    st.shared.v4.u32 [%r11], {{%r12, %r12, %r12, %r12}}; add.u32 %r10, %r10, 32;
    setp.lt.u32 %p9, %r10, {SIZE // 16}; @%p9 bra CLEAR;
    fence.proxy.async; bar.sync 0;"""
EXPECT = "@%p1 mbarrier.arrive.expect_tx.shared.b64 %rd9, [%r2], {};"
WAIT = """WAIT: mbarrier.try_wait.parity.shared.b64 %p2, [%r2], 0; @!%p2 bra WAIT;"""
DUMP = f"""mov.u32 %r10, %t; DUMP: shl.b32 %r11, %r10, 4; add.u32 %r13, %r1, %r11;
    ld.shared.v4.u32 {{%r14, %r15, %r16, %r17}}, [%r13];
    cvt.u64.u32 %rd11, %r11; add.u64 %rd11, %out, %rd11;
    st.global.v4.u32 [%rd11], {{%r14, %r15, %r16, %r17}}; add.u32 %r10, %r10, 32;
    setp.lt.u32 %p9, %r10, {SIZE // 16}; @%p9 bra DUMP;"""
FILLER = 0x5A5A5A5A


def shared_after(copies, inputs, nbytes, **options):
    """The bytes of shared memory behind copies of so many bytes in all."""
    body = f"""{INIT} mov.u32 %r12, {FILLER}; {CLEAR} {EXPECT.format(nbytes)}
        {copies} {WAIT} {DUMP}"""
    found = run(body, inputs, module=MODULE, count=SIZE // 4, **options)
    return found.view(np.uint8)


@BOTH
def test_bytes_from_global_to_shared_memory(completion):
    data = np.random.default_rng().integers(0, 256, 4096).astype(np.uint8)
    got = shared_after(
        """@%p1 cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes
        [%r1+64], [%in0+32], 1024, [%r2];
        @%p1 cp.async.bulk.prefetch.L2.global [%in0], 512;""",
        (data,),
        1024,
        completion=completion,
    )
    want = np.full(SIZE, 0x5A, np.uint8)
    want[64 : 64 + 1024] = data[32 : 32 + 1024]
    np.testing.assert_array_equal(got, want)


def fill_shared():
    """Every 16 bytes of shared memory hold their own number, four times."""
    return f"""mov.u32 %r10, %t; FILL: shl.b32 %r11, %r10, 4; add.u32 %r11, %r1, %r11;
        st.shared.v4.u32 [%r11], {{%r10, %r10, %r10, %r10}}; add.u32 %r10, %r10, 32;
        setp.lt.u32 %p9, %r10, {SIZE // 16}; @%p9 bra FILL;
        fence.proxy.async; bar.sync 0;"""


NUMBERED = np.repeat(np.arange(SIZE // 16, dtype=np.uint32), 4)


@BOTH
@pytest.mark.parametrize("wait", ["cp.async.bulk.wait_group 0;", ""])
def test_bytes_from_shared_to_global_memory(wait, completion):
    """What nobody waits for lands at the end at the latest."""
    got = run(
        f"""{INIT} {fill_shared()}
        @%p1 cp.async.bulk.global.shared::cta.bulk_group [%out], [%r1+256], 512;
        @%p1 cp.async.bulk.commit_group; @%p1 {wait or "bra END; END:"}""",
        module=MODULE,
        count=128,
        completion=completion,
    )
    np.testing.assert_array_equal(got, NUMBERED[64 : 64 + 128])


def test_groups_of_stores_complete_in_their_order():
    """Both copies go to the same place; the second one must not be overtaken."""
    got = run(
        f"""{INIT} {fill_shared()}
        @%p1 cp.async.bulk.global.shared::cta.bulk_group [%out], [%r1], 16;
        @%p1 cp.async.bulk.commit_group; @%p1 cp.async.bulk.wait_group.read 0;
        @%p1 cp.async.bulk.wait_group 0; fence.proxy.async;
        @%p1 cp.async.bulk.global.shared::cta.bulk_group [%out], [%r1+32], 16;
        @%p1 cp.async.bulk.commit_group; @%p1 cp.async.bulk.wait_group 0;""",
        module=MODULE,
        count=4,
    )
    assert (got == 2).all()


REDUCTIONS = [
    ("add", "u32"), ("add", "s32"), ("add", "u64"), ("min", "u32"), ("max", "s32"),
    ("min", "s64"), ("max", "u64"), ("inc", "u32"), ("dec", "u32"), ("and", "b32"),
    ("or", "b64"), ("xor", "b32"), ("add", "f16"), ("min", "f16"), ("max", "bf16"),
    ("add", "bf16"), ("add", "f32"), ("add", "f64"),
]  # fmt: skip


def is_integer(kind):
    return kind[0] in "usb" and kind != "bf16"


def scalar_reduce(old, new, operation, kind):
    """One element; integers as Python numbers, floats rounded once."""
    if is_integer(kind):
        bits = int(kind[1:])
        table = {
            "add": (old + new + (1 << bits - 1 if kind[0] == "s" else 0)) % (1 << bits)
            - (1 << bits - 1 if kind[0] == "s" else 0),
            "min": min(old, new), "max": max(old, new), "and": old & new,
            "or": old | new, "xor": old ^ new, "inc": 0 if old >= new else old + 1,
            "dec": new if old == 0 or old > new else old - 1,
        }  # fmt: skip
        return table[operation]
    return {"add": old + new, "min": min(old, new), "max": max(old, new)}[operation]


def random_elements(kind, random, number):
    if kind == "bf16":
        return (random.standard_normal(number).astype("f4").view("u4") >> 16).astype(
            "u2"
        )
    if kind[0] == "f" or kind == "f16":
        return random.standard_normal(number).astype(f"f{int(kind[1:]) // 8}")
    dtype = np.dtype(f"{'i' if kind[0] == 's' else 'u'}{int(kind[1:]) // 8}")
    limits = np.iinfo(dtype)
    return random.integers(limits.min, limits.max, number, dtype, endpoint=True)


def as_numbers(array, kind):
    if kind == "bf16":
        return (array.astype(np.uint32) << 16).view(np.float32).astype(float).tolist()
    return [x for x in array.tolist()]


@pytest.mark.parametrize(("operation", "kind"), REDUCTIONS)
def test_reductions_into_global_memory(operation, kind):
    random = np.random.default_rng()
    size = 2 if kind == "bf16" else int(kind[1:]) // 8
    number = 512 // size
    old, new = (random_elements(kind, random, number) for _ in range(2))
    old[0], new[1] = new[0], old[1]
    noftz = ".noftz" if kind in ("f16", "bf16") and operation == "add" else ""
    got = run(
        f"""{INIT} shl.b32 %r3, %t, 4; add.u32 %r4, %r1, %r3;
        mad.wide.u32 %rd1, %t, 16, %in0;
        ld.global.v4.u32 {{%r10, %r11, %r12, %r13}}, [%rd1];
        st.shared.v4.u32 [%r4], {{%r10, %r11, %r12, %r13}};
        fence.proxy.async; bar.sync 0;
        @%p1 cp.reduce.async.bulk.global.shared::cta.bulk_group.{operation}{noftz}.{kind}
            [%out], [%r1], 512;
        @%p1 cp.async.bulk.commit_group; @%p1 cp.async.bulk.wait_group 0;""",
        (new,),
        module=MODULE,
        count=128,
        initial=old.view(np.uint32),
    )
    got = as_numbers(got.view(old.dtype), kind)
    for i, (x, y) in enumerate(
        zip(as_numbers(old, kind), as_numbers(new, kind), strict=True)
    ):
        want = scalar_reduce(x, y, operation, kind)
        if is_integer(kind):
            assert got[i] == want
        else:
            digits = {"f16": 11, "bf16": 8, "f32": 24, "f64": 53}[kind]
            assert abs(got[i] - want) <= 2.0**-digits * abs(want) + 2.0**-24


@BOTH
def test_bytes_between_the_ctas_of_a_cluster(completion):
    """Each of two CTAs sends its numbers, plus its rank, to the other."""
    got = run(
        f"""{INIT} mov.u32 %r6, %cluster_ctarank; {fill_shared()}
        {EXPECT.format(512)} barrier.cluster.arrive; barrier.cluster.wait;
        xor.b32 %r7, %r6, 1; mapa.shared::cluster.u32 %r8, %r1, %r7;
        mapa.shared::cluster.u32 %r9, %r2, %r7;
        shl.b32 %r5, %r6, 9;
        add.u32 %r4, %r1, %r5;
        @%p1 cp.async.bulk.shared::cluster.shared::cta.mbarrier::complete_tx::bytes
            [%r8+4096], [%r4], 512, [%r9];
        {WAIT} shl.b32 %r3, %t, 4; add.u32 %r3, %r1, %r3;
        ld.shared.u32 %r4, [%r3+4096]; st.global.u32 [%me], %r4;
        barrier.cluster.arrive; barrier.cluster.wait;""",
        module=MODULE,
        grid=2,
        count=64,
        cluster=(2, 1, 1),
        completion=completion,
    )
    assert (got == [*range(32, 64), *range(32)]).all()


MULTICAST = """@%p3 cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes\
.multicast::cluster [%r1], [%in0], 512, [%r2], %h1;"""


@BOTH
def test_one_copy_for_several_ctas(completion):
    data = np.random.default_rng().integers(0, 2**32, 128, dtype=np.uint32)
    body = f"""{INIT} mov.u32 %r6, %cluster_ctarank; mov.u16 %h1, 5;
        {EXPECT.format(512)} barrier.cluster.arrive; barrier.cluster.wait;
        setp.eq.and.u32 %p3, %r6, 1, %p1; {MULTICAST}
        mov.u32 %r4, 0; setp.eq.u32 %p4, %r6, 1; @%p4 bra DONE;
        setp.eq.u32 %p4, %r6, 3; @%p4 bra DONE; {WAIT}
        shl.b32 %r3, %t, 4; add.u32 %r3, %r1, %r3; ld.shared.u32 %r4, [%r3];
        DONE: st.global.u32 [%me], %r4;
        barrier.cluster.arrive; barrier.cluster.wait;"""
    got = run(
        body, (data,), module=MODULE, grid=4, count=128, cluster=(4, 1, 1),
        completion=completion,
    )  # fmt: skip
    got = got.reshape(4, 32)
    np.testing.assert_array_equal(got[0], data[::4])
    np.testing.assert_array_equal(got[2], data[::4])
    assert not got[[1, 3]].any()


# Tensor copies. The map lies in front of its array, which begins at byte 128: the
# address in the map is fixed up when the allocation is known, so the first launch of a
# fresh emulator decides it.
FIRST = 0x7F00_0000_0100


def input_of(tensor_fields, nbytes, random, **options):
    """(bytes of map and array, map, array) as the first allocation of an emulator."""
    tensor = TensorMap(tensor_fields[0], FIRST + 128, *tensor_fields[1:], **options)
    data = random.integers(0, 256, nbytes).astype(np.uint8)
    head = np.frombuffer(tensor.to_bytes(), np.uint8)
    return np.concatenate([head, data]), tensor, data


def address_check():
    from ix.emulator import Emulator

    return Emulator().alloc(64)


MAPS = [
    ("u8", (100,), (), (32,), {}),
    ("u8", (96, 20), (112,), (32, 4), {"swizzle": 32}),
    ("bf16", (64, 40), (160,), (64, 24), {"swizzle": 128}),
    ("f16", (50, 40), (112,), (32, 8), {"swizzle": 64, "fill": "nan"}),
    ("u32", (13, 9, 5), (64, 640), (4, 3, 2), {}),
    ("f32", (32, 9, 5), (128, 1280), (32, 3, 2), {"swizzle": 128, "fill": "nan"}),
    ("f64", (6, 5, 4, 3), (48, 256, 1024), (2, 2, 2, 2), {}),
    ("u16", (16, 4, 3, 2, 2), (32, 128, 384, 768), (16, 2, 2, 2, 1), {"swizzle": 32}),
    ("s32", (8, 30), (32,), (4, 9), {"element_strides": (1, 3)}),
    ("f32", (30, 20, 3), (128, 2560), (4, 8, 3), {"element_strides": (1, 2, 4)}),
]


def places_of(dims, box, random):
    """Coordinates inside, over each edge, and wholly outside."""
    last = [d - b // 2 for d, b in zip(dims, box, strict=True)]
    inside = [int(random.integers(0, d)) for d in dims]
    return [[0] * len(dims), inside, last, [-1] * len(dims), [*dims]]


@pytest.mark.parametrize("case", MAPS, ids=lambda c: f"{c[0]}-{len(c[1])}d")
@pytest.mark.parametrize("place", range(5))
def test_tiles_from_global_memory(case, place):
    random = np.random.default_rng()
    *fields, options = case
    whole, tensor, data = input_of(fields, 8192, random, **options)
    coordinates = places_of(tensor.dims, tensor.box, random)[place]
    rank = tensor.rank
    for completion in ("late", "early"):
        got = shared_after(
            f"""@%p1 cp.async.bulk.tensor.{rank}d.shared::cluster.global.tile
            .mbarrier::complete_tx::bytes [%r1+1024], [%in0,
            {{{", ".join(map(str, coordinates))}}}], [%r2];""".replace(
                "tile\n            .mb", "tile.mb"
            ),
            (whole,),
            tensor.tile_bytes,
            completion=completion,
        )
        want = np.full(SIZE, 0x5A, np.uint8)
        for address, byte in tile_bytes(data, tensor, coordinates, 1024).items():
            want[address] = byte
        np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("case", MAPS, ids=lambda c: f"{c[0]}-{len(c[1])}d")
@pytest.mark.parametrize("place", range(5))
def test_tiles_to_global_memory(case, place):
    """A tile is loaded, and stored to the same place of an array of zeros."""
    random = np.random.default_rng()
    *fields, options = case
    whole, tensor, data = input_of(fields, 8192, random, **options)
    coordinates = places_of(tensor.dims, tensor.box, random)[place]
    # The allocation behind the first: 256 bytes apart.
    second = (FIRST + len(whole) + 255) // 256 * 256 + 256
    target = TensorMap(fields[0], second + 128, *fields[1:], **options)
    zeros = np.zeros(8192, np.uint8)
    other = np.concatenate([np.frombuffer(target.to_bytes(), np.uint8), zeros])
    name = f"cp.async.bulk.tensor.{tensor.rank}d"
    at = "{" + ", ".join(map(str, coordinates)) + "}"
    body = f"""{INIT} {EXPECT.format(tensor.tile_bytes)}
        @%p1 {name}.shared::cluster.global.tile.mbarrier::complete_tx::bytes
            [%r1], [%in0, {at}], [%r2]; {WAIT}
        @%p1 {name}.global.shared::cta.tile.bulk_group [%in1, {at}], [%r1];
        @%p1 cp.async.bulk.commit_group; @%p1 cp.async.bulk.wait_group 0;
        mov.u32 %r10, %t; COPY: mad.wide.u32 %rd1, %r10, 16, %in1;
        ld.global.v4.u32 {{%r14, %r15, %r16, %r17}}, [%rd1+128];
        mad.wide.u32 %rd2, %r10, 16, %out;
        st.global.v4.u32 [%rd2], {{%r14, %r15, %r16, %r17}}; add.u32 %r10, %r10, 32;
        setp.lt.u32 %p9, %r10, 512; @%p9 bra COPY;"""
    got = run(body, (whole, other), module=MODULE, count=2048, races=False)
    want = np.zeros(8192, np.uint8)
    size, steps = tensor.element_bytes, [1, *tensor.element_strides[1:]]
    shape = [-(-b // s) for b, s in zip(tensor.box, steps, strict=True)]
    for index in np.ndindex(*shape):
        spot = [c + i * s for c, i, s in zip(coordinates, index, steps, strict=True)]
        if all(0 <= p < d for p, d in zip(spot, tensor.dims, strict=True)):
            strides = [size, *tensor.strides]
            start = sum(p * s for p, s in zip(spot, strides, strict=True))
            want[start : start + size] = data[start : start + size]
    np.testing.assert_array_equal(got.view(np.uint8), want)


def test_the_first_allocation_is_where_these_tests_expect_it():
    assert address_check() == FIRST


@pytest.mark.parametrize("kind", ["f16", "bf16", "f32", "s32"])
def test_tiles_are_added_to_global_memory(kind):
    random = np.random.default_rng()
    size = 2 if kind in ("f16", "bf16") else 4
    fields = (kind, (64 // size * 2, 8), (128,), (32 // size, 8))
    whole, tensor, _ = input_of(fields, 1024, random)
    values = random_elements(kind, random, 1024 // size)
    whole[128:] = values.view(np.uint8)
    at = "{0, 0}"
    got = run(
        f"""{INIT} {EXPECT.format(tensor.tile_bytes)}
        @%p1 cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::complete_tx\
::bytes [%r1], [%in0, {at}], [%r2]; {WAIT}
        @%p1 cp.reduce.async.bulk.tensor.2d.global.shared::cta.add.tile.bulk_group
            [%in0, {at}], [%r1];
        @%p1 cp.async.bulk.prefetch.tensor.2d.L2.global.tile [%in0, {at}];
        @%p1 cp.async.bulk.commit_group; @%p1 cp.async.bulk.wait_group 0;
        mov.u32 %r10, %t; COPY: mad.wide.u32 %rd1, %r10, 4, %in0;
        ld.global.u32 %r14, [%rd1+128]; mad.wide.u32 %rd2, %r10, 4, %out;
        st.global.u32 [%rd2], %r14; add.u32 %r10, %r10, 32;
        setp.lt.u32 %p9, %r10, 256; @%p9 bra COPY;""",
        (whole,),
        module=MODULE,
        count=256,
        races=False,
    )
    found = as_numbers(got.view(values.dtype), kind)
    for i, value in enumerate(as_numbers(values, kind)):
        inside = i * size % 128 < 32 and i * size // 128 < 8
        want = 2 * value if inside else value
        if kind == "s32":
            want = (want + 2**31) % 2**32 - 2**31
        assert found[i] == want  # doubling is exact in every type


def test_copies_are_counted():
    random = np.random.default_rng()
    whole, tensor, _ = input_of(MAPS[2][:4], 8192, random, swizzle=128)
    body = f"""{INIT} {EXPECT.format(tensor.tile_bytes)}
        @%p1 cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::complete_tx\
::bytes [%r1], [%in0, {{0, 0}}], [%r2]; {WAIT}"""
    counters = count(body, (whole,), module=MODULE)
    assert counters["bulk_copies"] == 1
    assert counters["bulk_copy_bytes"] == 64 * 24 * 2
    assert counters["global_load_sectors"] == 64 * 24 * 2 // 32


TMA = """@%p1 cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::complete_tx\
::bytes [%r1+{}], [%in0+{}, {{0, 0}}], [%r2];"""


@pytest.mark.parametrize(
    ("tile", "map_at", "kind", "says"),
    [(64, 0, MisalignedError, "a tile at a multiple of 128 bytes"),
     (0, 32, MisalignedError, "a tensor map at a multiple of 64 bytes"),
     (0, 64, TensorMapError, "needs the 128 bytes that TensorMap.to_bytes wrote"),
     (7168, 0, OutOfBoundsError, "bytes behind the end")],
)  # fmt: skip
def test_bad_places_are_reported(tile, map_at, kind, says):
    whole, _, _ = input_of(MAPS[2][:4], 8192, np.random.default_rng(), swizzle=128)
    with pytest.raises(kind, match=says):
        run(f"{INIT} {TMA.format(tile, map_at)}", (whole,), module=MODULE)


def test_a_map_beyond_its_allocation_is_reported():
    fields = ("bf16", (64, 4000), (160,), (64, 24))
    whole, _, _ = input_of(fields, 160 * 10, np.random.default_rng())
    with pytest.raises(OutOfBoundsError, match="bytes behind the end of the 1728-byte"):
        run(f"{INIT} {TMA.format(0, 0)}", (whole,), module=MODULE)


def test_interleaved_maps_are_refused():
    fields = ("u8", (32, 8, 8), (32, 256), (32, 8, 4))
    whole, _, _ = input_of(
        fields, 8192, np.random.default_rng(), interleave=32, swizzle=32
    )
    body = TMA.format(0, 0).replace("2d", "3d").replace("{0, 0}", "{0, 0, 0}")
    with pytest.raises(TensorMapError, match="needs a map without interleaving"):
        run(f"{INIT} {body}", (whole,), module=MODULE)

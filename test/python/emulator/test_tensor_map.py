"""Tensor maps: the driver's rules, its arguments, and the emulator's 128 bytes."""

import dataclasses
import enum
from types import SimpleNamespace

import pytest

from ix.errors import InputError
from ix.runtime.tensor_map import DATA_TYPES, SIZE, TensorMap, im2col

PLAIN = TensorMap("bf16", 1 << 20, (512, 300), (1024,), (64, 128), swizzle=128)
FIVE = TensorMap(
    "f32", 4096, (8, 7, 6, 5, 1 << 32), (32, 256, 2048, 1 << 39), (8, 3, 2, 1, 256),
    (1, 2, 3, 4, 8), 0, 0, "nan", 256,
)  # fmt: skip


@pytest.mark.parametrize("tensor", [PLAIN, FIVE])
def test_the_emulators_bytes_come_back(tensor):
    data = tensor.to_bytes()
    assert len(data) == SIZE
    assert TensorMap.from_bytes(data) == tensor


@pytest.mark.parametrize("data_type", DATA_TYPES)
def test_every_type_comes_back(data_type):
    tensor = TensorMap(data_type, 0, (64,), (), (16,))
    assert TensorMap.from_bytes(tensor.to_bytes()) == tensor


def test_tile_counts_the_elements_that_are_copied():
    assert PLAIN.tile == (64, 128)
    assert PLAIN.tile_bytes == 64 * 128 * 2
    assert FIVE.tile == (8, 2, 1, 1, 32)
    assert FIVE.tile_bytes == 8 * 2 * 32 * 4


@pytest.mark.parametrize(
    "data", [b"", bytes(SIZE), PLAIN.to_bytes()[:-1]], ids=["empty", "zeros", "short"]
)
def test_other_bytes_are_refused(data):
    with pytest.raises(InputError, match=r"needs the 128 bytes that TensorMap\.to_byt"):
        TensorMap.from_bytes(data)


REFUSED = [
    ({"data_type": "e4m3"}, "data type among u8, u16, .* but it is e4m3"),
    ({"swizzle": 16}, "swizzle among 0, 32, 64, 128, but it is 16"),
    ({"interleave": 64}, "interleave among 0, 16, 32, but it is 64"),
    ({"l2_promotion": 32}, "l2_promotion among 0, 64, 128, 256, but it is 32"),
    ({"fill": "one"}, "fill among zero, nan, but it is one"),
    ({"dims": (1,) * 6}, "1 to 5 dimensions, but it has 6"),
    ({"dims": ()}, "1 to 5 dimensions, but it has 0"),
    ({"interleave": 16}, "3 to 5 dimensions, but it has 2"),
    ({"strides": ()}, "1 strides for 2 dimensions, but there are 0"),
    ({"box": (64,)}, "2 box sizes for 2 dimensions, but there are 1"),
    ({"element_strides": (1,)}, "2 element strides for 2 dim.*, but there are 1"),
    ({"address": 8}, "a multiple of 16 bytes, but it is 0x8"),
    ({"dims": (512, 0)}, r"sizes of 1 to 2\^32, but dimension 1 is 0"),
    ({"dims": ((1 << 32) + 1, 4)}, r"sizes of 1 to 2\^32, but dimension 0 is 42949672"),
    ({"strides": (1000,)}, "multiples of 16 bytes, but dimension 1 has 1000"),
    ({"strides": (1 << 40,)}, r"below 2\^40 .*, but dimension 1 has 1099511627776"),
    ({"box": (64, 257)}, "box sizes of 1 to 256, but dimension 1 has 257"),
    ({"box": (0, 1)}, "box sizes of 1 to 256, but dimension 0 has 0"),
    ({"box": (4, 1)}, "an inner box of a multiple of 16 bytes, but 4 elements are 8"),
    ({"box": (128, 1)}, "within the swizzle of 128 bytes, but 128 elements are 256"),
    ({"element_strides": (1, 9)}, "strides of 1 to 8, but dimension 1 has 9"),
    ({"data_type": "u16", "fill": "nan"}, "a floating type .* but it has u16"),
    (
        {"dims": (8, 8, 8), "strides": (32, 256), "box": (8, 8, 8), "interleave": 32,
         "swizzle": 64, "element_strides": ()},
        "a swizzle of 32 bytes with an interleave of 32 bytes, but the swizzle is 64",
    ),
    (
        {"dims": (8, 8, 8), "strides": (48, 256), "box": (8, 8, 8), "interleave": 32,
         "swizzle": 32, "element_strides": ()},
        "multiples of 32 bytes, but dimension 1 has 48",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("change", "message"), REFUSED)
def test_what_the_driver_refuses_is_refused(change, message):
    with pytest.raises(InputError, match=message):
        dataclasses.replace(PLAIN, **change)


def test_im2col_is_refused():
    with pytest.raises(InputError, match="needs the tiled mode, but im2col was asked"):
        im2col()


def enumeration(name, prefix, members):
    return enum.IntEnum(name, {f"CU_TENSOR_MAP_{prefix}_{m}": i for i, m in members})


# Values: cuda.h of CUDA 12 and 13.
DRIVER = SimpleNamespace(
    cuuint32_t=lambda value: ("u32", value),
    cuuint64_t=lambda value: ("u64", value),
    CUtensorMapDataType=enumeration(
        "Type",
        "DATA_TYPE",
        enumerate(
            "UINT8 UINT16 UINT32 INT32 UINT64 INT64 FLOAT16 FLOAT32 FLOAT64 BFLOAT16 "
            "FLOAT32_FTZ TFLOAT32 TFLOAT32_FTZ".split()
        ),
    ),
    CUtensorMapInterleave=enumeration(
        "Interleave", "INTERLEAVE", enumerate(["NONE", "16B", "32B"])
    ),
    CUtensorMapSwizzle=enumeration(
        "Swizzle", "SWIZZLE", enumerate(["NONE", "32B", "64B", "128B"])
    ),
    CUtensorMapL2promotion=enumeration(
        "Promotion", "L2_PROMOTION", enumerate(["NONE", "L2_64B", "L2_128B", "L2_256B"])
    ),
    CUtensorMapFloatOOBfill=enumeration(
        "Fill", "FLOAT_OOB_FILL", enumerate(["NONE", "NAN_REQUEST_ZERO_FMA"])
    ),
)


def test_arguments_of_the_driver():
    arguments = FIVE.driver_arguments(DRIVER)
    assert arguments == (
        7, ("u32", 5), 4096,
        [("u64", n) for n in FIVE.dims], [("u64", n) for n in FIVE.strides],
        [("u32", n) for n in FIVE.box], [("u32", n) for n in FIVE.element_strides],
        0, 0, 3, 1,
    )  # fmt: skip
    assert PLAIN.driver_arguments(DRIVER)[0] == 9
    assert PLAIN.driver_arguments(DRIVER)[8] == 3


@pytest.mark.parametrize("data_type", DATA_TYPES)
def test_every_type_has_an_enumerator(data_type):
    tensor = TensorMap(data_type, 0, (64,), (), (16,))
    names = DRIVER.CUtensorMapDataType
    found = names(tensor.driver_arguments(DRIVER)[0]).name
    assert found.endswith(DATA_TYPES[data_type].enumerator)


def test_enumerators_are_those_of_cuda_bindings():
    driver = pytest.importorskip("cuda.bindings.driver")
    for name in vars(DRIVER):
        if name.startswith("CUtensorMap"):
            real = getattr(driver, name)
            for member in getattr(DRIVER, name):
                assert int(getattr(real, member.name)) == member.value
    assert FIVE.driver_arguments(driver)

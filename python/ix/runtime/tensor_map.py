"""A tensor map: how the tensor memory accelerator (TMA) sees an array in global memory.

One description serves the driver, which encodes it for a GPU
(`cuTensorMapEncodeTiled`), and the emulator, which reads the same fields from 128 bytes
of its own. Dimensions are listed innermost first, as the driver's.

Source: CUDA driver API, "Tensor Map Object Management", cuTensorMapEncodeTiled.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any, Final

from ix.errors import InputError

__all__ = ["DATA_TYPES", "SIZE", "DataType", "TensorMap", "im2col"]

SIZE: Final = 128  # bytes of a CUtensorMap
MAGIC: Final = b"ixTMAP\x01\x00"
LAYOUT: Final = struct.Struct("<8s8BQ5Q4Q5H5B")
MAX_RANK, MAX_BOX, MAX_ELEMENT_STRIDE = 5, 256, 8
MAX_DIMENSION, MAX_STRIDE = 1 << 32, 1 << 40


@dataclass(frozen=True)
class DataType:
    """An element type of a tensor map.

    Attributes:
        bytes: Of one element.
        enumerator: Of CUtensorMapDataType, behind `CU_TENSOR_MAP_DATA_TYPE_`.
        floating: NaN may fill what lies out of bounds.
    """

    bytes: int
    enumerator: str
    floating: bool = False


DATA_TYPES: Final = {
    "u8": DataType(1, "UINT8"),
    "u16": DataType(2, "UINT16"),
    "u32": DataType(4, "UINT32"),
    "s32": DataType(4, "INT32"),
    "u64": DataType(8, "UINT64"),
    "s64": DataType(8, "INT64"),
    "f16": DataType(2, "FLOAT16", True),
    "f32": DataType(4, "FLOAT32", True),
    "f64": DataType(8, "FLOAT64", True),
    "bf16": DataType(2, "BFLOAT16", True),
    "f32.ftz": DataType(4, "FLOAT32_FTZ", True),
    "tf32": DataType(4, "TFLOAT32", True),
    "tf32.ftz": DataType(4, "TFLOAT32_FTZ", True),
}
TYPE_NAMES: Final = tuple(DATA_TYPES)
INTERLEAVES: Final = {0: "NONE", 16: "16B", 32: "32B"}  # bytes → enumerator
SWIZZLES: Final = {0: "NONE", 32: "32B", 64: "64B", 128: "128B"}
L2_PROMOTIONS: Final = {0: "NONE", 64: "L2_64B", 128: "L2_128B", 256: "L2_256B"}
FILLS: Final = {"zero": "NONE", "nan": "NAN_REQUEST_ZERO_FMA"}


@dataclass(frozen=True)
class TensorMap:
    """A tiled tensor map; checked when it is made.

    Attributes:
        data_type: A key of `DATA_TYPES`.
        address: Of element 0 in global memory, in bytes.
        dims: Size of each dimension in elements, innermost first.
        strides: Bytes from one index to the next of dimensions 1, 2, …; dimension 0 is
            contiguous.
        box: Elements that one copy spans in each dimension.
        element_strides: Steps between the elements that are copied; all 1 by default.
        interleave: 0, 16 or 32 bytes.
        swizzle: 0, 32, 64 or 128 bytes.
        fill: What stands for elements out of bounds: `zero` or `nan`.
        l2_promotion: 0, 64, 128 or 256 bytes.

    Raises:
        InputError: The driver would refuse the map.
    """

    data_type: str
    address: int
    dims: tuple[int, ...]
    strides: tuple[int, ...]
    box: tuple[int, ...]
    element_strides: tuple[int, ...] = ()
    interleave: int = 0
    swizzle: int = 0
    fill: str = "zero"
    l2_promotion: int = 0

    def __post_init__(self) -> None:
        if not self.element_strides:
            object.__setattr__(self, "element_strides", (1,) * len(self.dims))
        _check_choices(self)
        _check_lengths(self)
        _check_memory(self)
        _check_box(self)

    @property
    def rank(self) -> int:
        """How many dimensions it has."""
        return len(self.dims)

    @property
    def element_bytes(self) -> int:
        """Bytes of one element."""
        return DATA_TYPES[self.data_type].bytes

    @property
    def tile(self) -> tuple[int, ...]:
        """Elements that a copy writes in each dimension, innermost first.

        Without interleaving the step of dimension 0 is ignored.
        """
        steps = list(self.element_strides)
        if not self.interleave:
            steps[0] = 1
        pairs = zip(self.box, steps, strict=True)
        return tuple(-(-size // step) for size, step in pairs)

    @property
    def tile_bytes(self) -> int:
        """Bytes that a copy writes, those out of bounds included."""
        count = self.element_bytes
        for size in self.tile:
            count *= size
        return count

    def to_bytes(self) -> bytes:
        """128 bytes that the emulator takes for a CUtensorMap; see `from_bytes`."""
        data_type = DATA_TYPES[self.data_type]
        codes = (
            self.rank,
            list(DATA_TYPES.values()).index(data_type),
            list(INTERLEAVES).index(self.interleave),
            list(SWIZZLES).index(self.swizzle),
            list(L2_PROMOTIONS).index(self.l2_promotion),
            list(FILLS).index(self.fill),
        )
        packed = LAYOUT.pack(
            MAGIC, *codes, 0, 0, self.address,
            *_padded(self.dims, 5), *_padded(self.strides, 4),
            *_padded(self.box, 5), *_padded(self.element_strides, 5),
        )  # fmt: skip
        return packed.ljust(SIZE, b"\0")

    @classmethod
    def from_bytes(cls, data: bytes) -> TensorMap:
        """The map that `to_bytes` wrote.

        Raises:
            InputError: The bytes are not a map of ix.
        """
        if len(data) != SIZE or not data.startswith(MAGIC):
            raise InputError(
                "'tensor map' needs the 128 bytes that TensorMap.to_bytes wrote, but "
                f"{len(data)} bytes start with {data[:8].hex()}; pass the map by value "
                "or copy it to the address that the kernel reads"
            )
        fields = LAYOUT.unpack_from(data)
        rank, kind, interleave, swizzle, l2_promotion, fill = fields[1:7]
        rest = fields[9:]
        return cls(
            TYPE_NAMES[kind],
            rest[0],
            tuple(rest[1 : 1 + rank]),
            tuple(rest[6 : 5 + rank]),
            tuple(rest[10 : 10 + rank]),
            tuple(rest[15 : 15 + rank]),
            tuple(INTERLEAVES)[interleave],
            tuple(SWIZZLES)[swizzle],
            tuple(FILLS)[fill],
            tuple(L2_PROMOTIONS)[l2_promotion],
        )

    def driver_arguments(self, driver: Any) -> tuple[Any, ...]:
        """Arguments of `cuTensorMapEncodeTiled` in cuda-bindings.

        Args:
            driver: The module `cuda.bindings.driver`.
        """
        data_type = DATA_TYPES[self.data_type].enumerator
        return (
            _member(driver.CUtensorMapDataType, "DATA_TYPE", data_type),
            driver.cuuint32_t(self.rank),
            self.address,
            [driver.cuuint64_t(size) for size in self.dims],
            [driver.cuuint64_t(stride) for stride in self.strides],
            [driver.cuuint32_t(size) for size in self.box],
            [driver.cuuint32_t(step) for step in self.element_strides],
            _member(
                driver.CUtensorMapInterleave, "INTERLEAVE", INTERLEAVES[self.interleave]
            ),
            _member(driver.CUtensorMapSwizzle, "SWIZZLE", SWIZZLES[self.swizzle]),
            _member(
                driver.CUtensorMapL2promotion,
                "L2_PROMOTION",
                L2_PROMOTIONS[self.l2_promotion],
            ),
            _member(driver.CUtensorMapFloatOOBfill, "FLOAT_OOB_FILL", FILLS[self.fill]),
        )


def im2col(*_: Any, **__: Any) -> TensorMap:
    """Refuses: tensor maps of convolution windows are not supported.

    Raises:
        InputError: Always.
    """
    raise InputError(
        "'tensor map' needs the tiled mode, but im2col was asked for; describe the "
        "windows as a tiled map of up to 5 dimensions"
    )


def _padded(values: tuple[int, ...], count: int) -> tuple[int, ...]:
    return values + (0,) * (count - len(values))


def _member(enumeration: Any, group: str, name: str) -> Any:
    return getattr(enumeration, f"CU_TENSOR_MAP_{group}_{name}")


def _require(condition: bool, requirement: str, fact: str, remedy: str) -> None:
    if not condition:
        raise InputError(f"'tensor map' needs {requirement}, but {fact}; {remedy}")


def _check_choices(tensor: TensorMap) -> None:
    for name, value, choices in (
        ("data type", tensor.data_type, DATA_TYPES),
        ("interleave", tensor.interleave, INTERLEAVES),
        ("swizzle", tensor.swizzle, SWIZZLES),
        ("l2_promotion", tensor.l2_promotion, L2_PROMOTIONS),
        ("fill", tensor.fill, FILLS),
    ):
        known = ", ".join(str(choice) for choice in choices)
        _require(
            value in choices, f"{name} among {known}", f"it is {value}", "pick one"
        )


def _check_lengths(tensor: TensorMap) -> None:
    rank = tensor.rank
    low = 3 if tensor.interleave else 1
    _require(
        low <= rank <= MAX_RANK,
        f"{low} to {MAX_RANK} dimensions",
        f"it has {rank}",
        "add dimensions of size 1 or merge contiguous ones",
    )
    for name, values, count in (
        ("strides", tensor.strides, rank - 1),
        ("box sizes", tensor.box, rank),
        ("element strides", tensor.element_strides, rank),
    ):
        _require(
            len(values) == count,
            f"{count} {name} for {rank} dimensions",
            f"there are {len(values)}",
            "the innermost dimension has no stride",
        )


def _check_memory(tensor: TensorMap) -> None:
    unit = 32 if tensor.interleave == 32 else 16
    _require(
        tensor.address % unit == 0,
        f"an address that is a multiple of {unit} bytes",
        f"it is {tensor.address:#x}",
        "align the array",
    )
    for axis, size in enumerate(tensor.dims):
        _require(
            1 <= size <= MAX_DIMENSION,
            "sizes of 1 to 2^32",
            f"dimension {axis} is {size}",
            "split it",
        )
    for axis, stride in enumerate(tensor.strides, 1):
        _require(
            0 < stride < MAX_STRIDE and stride % unit == 0,
            f"strides below 2^40 that are multiples of {unit} bytes",
            f"dimension {axis} has {stride}",
            "pad the rows of the array",
        )


def _check_box(tensor: TensorMap) -> None:
    for axis, size in enumerate(tensor.box):
        _require(
            1 <= size <= MAX_BOX,
            f"box sizes of 1 to {MAX_BOX}",
            f"dimension {axis} has {size}",
            "copy it in several boxes",
        )
    for axis, step in enumerate(tensor.element_strides):
        _require(
            1 <= step <= MAX_ELEMENT_STRIDE,
            f"element strides of 1 to {MAX_ELEMENT_STRIDE}",
            f"dimension {axis} has {step}",
            "copy with a larger stride of the dimension",
        )
    if tensor.fill == "nan":
        _require(
            DATA_TYPES[tensor.data_type].floating,
            "a floating type to fill with NaN",
            f"it has {tensor.data_type}",
            "fill with zero",
        )
    _check_inner(tensor)


def _check_inner(tensor: TensorMap) -> None:
    if tensor.interleave:
        _require(
            tensor.interleave != 32 or tensor.swizzle == 32,
            "a swizzle of 32 bytes with an interleave of 32 bytes",
            f"the swizzle is {tensor.swizzle}",
            "set swizzle=32",
        )
        return
    inner = tensor.box[0] * tensor.element_bytes
    _require(
        inner % 16 == 0,
        "an inner box of a multiple of 16 bytes",
        f"{tensor.box[0]} elements are {inner} bytes",
        "widen the box",
    )
    _require(
        not tensor.swizzle or inner <= tensor.swizzle,
        f"an inner box within the swizzle of {tensor.swizzle} bytes",
        f"{tensor.box[0]} elements are {inner} bytes",
        "copy it in several boxes",
    )

"""Shape, dtype and attribute rules that the op classes of every family share.

A rule that does not hold raises `ShapeError` with the text after the op's name:
`operands must broadcast, got tensor<2x3xf32> and tensor<4xf32>; …`. The op base
(`dialect.py`) puts the name before it, in builders and in verifiers alike.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import ml_dtypes
import numpy as np

from ix.errors import InputError
from ix.mlir import DYNAMIC, ir

NUMPY_DTYPES: dict[str, np.dtype[Any]] = {
    "f64": np.dtype(np.float64),
    "f32": np.dtype(np.float32),
    "f16": np.dtype(np.float16),
    "bf16": np.dtype(ml_dtypes.bfloat16),
    "f8E4M3FN": np.dtype(ml_dtypes.float8_e4m3fn),
    "f8E5M2": np.dtype(ml_dtypes.float8_e5m2),
    "i64": np.dtype(np.int64),
    "i32": np.dtype(np.int32),
    "i16": np.dtype(np.int16),
    "i8": np.dtype(np.int8),
    "i4": np.dtype(ml_dtypes.int4),
    "ui8": np.dtype(np.uint8),
    "i1": np.dtype(np.bool_),
}
"""MLIR element type → NumPy dtype; every element type that ix has."""

MLIR_NAMES: dict[str, str] = {dtype.name: name for name, dtype in NUMPY_DTYPES.items()}
"""NumPy dtype name → MLIR element type, as text."""

FLOATS = ("f64", "f32", "f16", "bf16", "f8E4M3FN", "f8E5M2")
INTEGERS = ("i64", "i32", "i16", "i8", "i4", "ui8")


class ShapeError(InputError):
    """Operands or attributes break the rule of an op; the text follows its name."""


def is_float(element_type: ir.Type) -> bool:
    """Whether the element type is a float of any width."""
    return isinstance(element_type, ir.FloatType)


def is_bool(element_type: ir.Type) -> bool:
    """Whether the element type is i1."""
    return isinstance(element_type, ir.IntegerType) and element_type.width == 1


def is_integer(element_type: ir.Type) -> bool:
    """Whether the element type is an integer, signed or not; i1 is none."""
    return isinstance(element_type, ir.IntegerType) and element_type.width > 1


def is_unsigned(element_type: ir.Type) -> bool:
    """Whether the element type is ui8."""
    return isinstance(element_type, ir.IntegerType) and element_type.is_unsigned


def mlir_type(dtype: Any) -> ir.Type:
    """The MLIR element type of a NumPy dtype, of its name, or of an MLIR name.

    Raises:
        ShapeError: ix has no such element type.
    """
    name = dtype if isinstance(dtype, str) else np.dtype(dtype).name
    text = name if name in NUMPY_DTYPES else MLIR_NAMES.get(name)
    if text is None:
        raise ShapeError(
            f"needs an element type of ix, got {name}; cast to one of "
            f"{', '.join(MLIR_NAMES)}"
        )
    return ir.Type.parse(text)


def numpy_dtype(element_type: ir.Type) -> np.dtype[Any]:
    """The NumPy dtype of an MLIR element type (`index` gives int64).

    Raises:
        ShapeError: ix has no such element type.
    """
    text = str(element_type)
    if text == "index":
        return np.dtype(np.int64)
    if text not in NUMPY_DTYPES:
        raise ShapeError(
            f"needs an element type of ix, got {text}; use one of "
            f"{', '.join(NUMPY_DTYPES)}"
        )
    return NUMPY_DTYPES[text]


def tensor_type(shape: Sequence[int], element_type: ir.Type) -> ir.RankedTensorType:
    """The ranked tensor type; DYNAMIC in `shape` stands for `?`."""
    return ir.RankedTensorType.get(list(shape), element_type)


def require(condition: bool, message: str | Callable[[], str]) -> None:
    """Raises `ShapeError(message)` unless the condition holds.

    Where the message spells types, a function makes it: that costs more than the rule.
    """
    if not condition:
        raise ShapeError(message if isinstance(message, str) else message())


def require_tensors(types: Iterable[ir.Type]) -> None:
    """Raises unless each type is a ranked tensor of an element type of ix."""
    for type_ in types:
        require(
            isinstance(type_, ir.RankedTensorType)
            and str(type_.element_type) in NUMPY_DTYPES,
            lambda type_=type_: (
                f"operands must be ranked tensors of an element type of ix, got {type_}"
            ),
        )


def require_same_elements(types: Sequence[ir.RankedTensorType]) -> ir.Type:
    """The one element type of all operands; raises where they differ."""
    first = types[0].element_type
    require(
        all(type_.element_type == first for type_ in types),
        lambda: (
            "operands must have one element type, got "
            f"{_listed(types)}; cast them first"
        ),
    )
    return first


def require_element(type_: ir.RankedTensorType, kind: str, allowed: bool) -> None:
    """Raises unless `allowed`: the operand must hold `kind` (a plural)."""
    require(
        allowed,
        lambda: f"operand must have {kind} as elements, got {type_}; cast it first",
    )


def require_index(types: Sequence[ir.Type], count: int, what: str) -> None:
    """Raises unless `types` are exactly `count` operands of type `index`."""
    require(
        len(types) == count and all(isinstance(t, ir.IndexType) for t in types),
        f"needs {count} operands of type index ({what}), got {_listed(types)}",
    )


def dim_sizes_agree(a: int, b: int) -> bool:
    """Whether two sizes may be equal; `?` may equal everything."""
    return DYNAMIC in (a, b) or a == b


def merge_dims(a: int, b: int) -> int:
    """The better known of two sizes taken as equal."""
    return b if a == DYNAMIC else a


def is_compatible(a: ir.Type, b: ir.Type) -> bool:
    """Whether two types are equal, but for `?` where the other has a size."""
    if a == b:
        return True
    if not (isinstance(a, ir.RankedTensorType) and isinstance(b, ir.RankedTensorType)):
        return False
    return (
        a.element_type == b.element_type
        and a.rank == b.rank
        and all(map(dim_sizes_agree, a.shape, b.shape))
    )


def broadcast_shapes(shapes: Sequence[Sequence[int]]) -> list[int]:
    """NumPy's broadcast of shapes that may hold `?`.

    A static 1 stretches; `?` beside a static size above 1 takes that size.

    Raises:
        ShapeError: Two sizes differ and none is 1.
    """
    rank = max(map(len, shapes), default=0)
    result = [1] * rank
    for shape in shapes:
        for axis, size in enumerate(shape, rank - len(shape)):
            known = result[axis]
            if known == 1:
                result[axis] = size
            elif size != 1:
                require(
                    dim_sizes_agree(known, size),
                    lambda: (
                        f"shapes {' and '.join(map(shape_text, shapes))} do not "
                        "broadcast"
                    ),
                )
                result[axis] = merge_dims(known, size)
    return result


def broadcast_types(types: Sequence[ir.RankedTensorType]) -> list[int]:
    """The shape that operands of these types broadcast to.

    Raises:
        ShapeError: They do not; names the types.
    """
    try:
        return broadcast_shapes([type_.shape for type_ in types])
    except ShapeError:
        raise ShapeError(
            f"operands must broadcast, got {_listed(types)}; sizes of aligned axes, "
            "counted from the last, must be equal or 1"
        ) from None


def require_axis(axis: int, rank: int, name: str = "axis") -> None:
    """Raises unless 0 ≤ axis < rank."""
    require(
        0 <= axis < rank,
        f"{name} must lie in 0..{rank - 1}, got {axis}"
        if rank
        else f"{name} needs an operand with axes, got {axis} for a scalar",
    )


def require_axes(axes: Sequence[int], rank: int, name: str = "axes") -> None:
    """Raises unless the axes are distinct, ascending and in 0 ≤ axis < rank."""
    for axis in axes:
        require_axis(axis, rank, name)
    require(
        list(axes) == sorted(set(axes)),
        f"{name} must be ascending without repeats, got {list(axes)}",
    )


def normalize_axis(axis: int, rank: int) -> int:
    """A NumPy axis as 0 ≤ axis < rank; a negative one counts from the end.

    Raises:
        ShapeError: −rank ≤ axis < rank does not hold.
    """
    require(
        -rank <= axis < rank,
        f"axis must lie in {-rank}..{rank - 1}, got {axis}"
        if rank
        else f"axis needs an operand with axes, got {axis} for a scalar",
    )
    return int(axis) % rank


def normalize_axes(axes: int | Sequence[int] | None, rank: int) -> list[int]:
    """NumPy axes (one, several or None for all) in ascending order, without repeats.

    Raises:
        ShapeError: One lies outside the rank, or two are the same.
    """
    if axes is None:
        return list(range(rank))
    listed = [axes] if isinstance(axes, int) else list(axes)
    result = [normalize_axis(axis, rank) for axis in listed]
    require(
        len(set(result)) == len(result), f"axes must not repeat an axis, got {listed}"
    )
    return sorted(result)


def split_sizes(sizes: Iterable[int | ir.Value]) -> tuple[list[int], list[ir.Value]]:
    """Splits sizes into a list attribute and operands.

    Returns:
        The list, with DYNAMIC where a Value stood, and those Values in order.
    """
    listed: list[int] = []
    operands: list[ir.Value] = []
    for size in sizes:
        if isinstance(size, ir.Value):
            listed.append(DYNAMIC)
            operands.append(size)
        else:
            listed.append(int(size))
    return listed, operands


def join_sizes(
    listed: Iterable[int], operands: Iterable[ir.Value]
) -> list[int | ir.Value]:
    """The inverse of `split_sizes`: each DYNAMIC becomes the next operand."""
    remaining = iter(operands)
    return [next(remaining) if size == DYNAMIC else size for size in listed]


def shape_text(shape: Sequence[int]) -> str:
    """A shape as MLIR spells it: 2x?x4 (`scalar` for rank 0)."""
    return "x".join("?" if s == DYNAMIC else str(s) for s in shape) or "scalar"


def to_attribute(value: Any, kind: type | None = None) -> ir.Attribute:
    """A Python value as the attribute that ops carry.

    bool → BoolAttr, int → i64, float → f64 (also an int where `kind` is FloatAttr),
    str → StringAttr, a sequence → ArrayAttr of these; attributes stay.
    """
    if isinstance(value, ir.Attribute):
        return value
    if isinstance(value, bool | np.bool_):
        return ir.BoolAttr.get(bool(value))
    if isinstance(value, str):
        return ir.StringAttr.get(value)
    if isinstance(value, Sequence | np.ndarray):
        return ir.ArrayAttr.get([to_attribute(item) for item in value])
    if isinstance(value, float | np.floating) or kind is ir.FloatAttr:
        return ir.FloatAttr.get(ir.F64Type.get(), float(value))
    return ir.IntegerAttr.get(ir.IntegerType.get_signless(64), int(value))


def from_attribute(attribute: ir.Attribute) -> Any:
    """The Python value of an op's attribute: the inverse of `to_attribute`.

    Attributes that no list, flag, number or string stands behind are given back.
    """
    if isinstance(attribute, ir.ArrayAttr):
        return [from_attribute(item) for item in attribute]
    if isinstance(
        attribute, ir.BoolAttr | ir.IntegerAttr | ir.FloatAttr | ir.StringAttr
    ):
        return attribute.value
    return attribute


def _listed(types: Sequence[ir.Type]) -> str:
    """Types as `a, b and c`."""
    texts = [str(type_) for type_ in types] or ["none"]
    head = ", ".join(texts[:-1])
    return f"{head} and {texts[-1]}" if head else texts[-1]

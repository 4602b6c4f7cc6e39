"""Resize: samples a tensor at other sizes, as ONNX's Resize and torch's interpolate."""

from collections.abc import Sequence

from ix.dialects.ix.dialect import (
    Choice,
    Flag,
    Float,
    Floats,
    Ints,
    IxOp,
    Operand,
    Operands,
    Result,
)
from ix.dialects.ix.shapes import (
    is_float,
    require,
    require_element,
    require_index,
    split_sizes,
    tensor_type,
)
from ix.mlir import DYNAMIC, ir

MODES = ("nearest", "linear", "cubic")
COORDINATES = ("half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric")
NEAREST = ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil")


class ResizeOp(IxOp, name="resize"):
    """Samples each axis at `shape[axis]` positions; axes are treated one by one.

    Position o of the result reads the input at x(o), where s is the scale:

        half_pixel          (o + ½) / s − ½
        pytorch_half_pixel  the same, but 0 where the result has size 1
        align_corners       o · (input − 1) / (result − 1), and 0 for size 1
        asymmetric          o / s

    "nearest" rounds x(o) as `nearest` says; "linear" weights 2 and "cubic" (Keys'
    kernel with a = `cubic_coefficient`) 4 neighbours. Outside, the border repeats.
    With `antialias` the kernel is widened by 1 / s where s < 1, and normalised.

    input:   tensor of rank n, floats unless mode is "nearest"
    sizes:   one index operand for each DYNAMIC of `shape`
    shape:   the result's sizes
    scales:  n scales, result / input; 0 takes them from the sizes
    """

    input: Operand
    sizes: Operands
    shape: Ints
    scales: Floats
    mode: Choice
    coordinates: Choice
    nearest: Choice
    cubic_coefficient: Float
    antialias: Flag
    result: Result

    @classmethod
    def build(
        cls,
        input: ir.Value,
        shape: Sequence[int | ir.Value],
        *,
        scales: Sequence[float] | None = None,
        mode: str = "nearest",
        coordinates: str = "half_pixel",
        nearest: str = "round_prefer_floor",
        cubic_coefficient: float = -0.75,
        antialias: bool = False,
    ) -> ir.Value:
        """Resizes to `shape` (ints and index Values); None takes scales from sizes."""
        listed, sizes = split_sizes(shape)
        factors = [0.0] * len(listed) if scales is None else map(float, scales)
        return cls.create(
            [input, *sizes],
            shape=listed,
            scales=list(factors),
            mode=mode,
            coordinates=coordinates,
            nearest=nearest,
            cubic_coefficient=cubic_coefficient,
            antialias=antialias,
        ).result

    @classmethod
    def infer(
        cls,
        input: ir.RankedTensorType,
        *sizes: ir.Type,
        shape: list[int],
        scales: list[float],
        mode: str,
        coordinates: str,
        nearest: str,
        cubic_coefficient: float,
        antialias: bool,
    ) -> list[ir.Type]:
        """`shape` with the input's element type."""
        require(
            len(shape) == len(scales) == input.rank,
            f"shape and scales must have {input.rank} entries each, got {len(shape)} "
            f"and {len(scales)}",
        )
        require(
            min(scales, default=0) >= 0,
            f"scales must be positive, or 0 to take them from the sizes, got {scales}",
        )
        require_index(sizes, shape.count(DYNAMIC), "the sizes that are not static")
        _require_choice("mode", mode, MODES)
        _require_choice("coordinates", coordinates, COORDINATES)
        _require_choice("nearest", nearest, NEAREST)
        floats = is_float(input.element_type)
        require_element(input, "floats", mode == "nearest" or floats)
        require(
            not antialias or mode != "nearest",
            'antialias needs mode "linear" or "cubic", got "nearest"',
        )
        for axis, (size, wanted) in enumerate(zip(input.shape, shape, strict=True)):
            require(
                size != 0 or wanted == 0,
                f"axis {axis} has no elements to sample, got {input} to {wanted}",
            )
        return [tensor_type(shape, input.element_type)]


def _require_choice(name: str, value: str, choices: Sequence[str]) -> None:
    require(
        value in choices, f'{name} must be one of {", ".join(choices)}, got "{value}"'
    )

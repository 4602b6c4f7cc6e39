"""Ops that normalise along axes: softmax; layer, RMS, batch, group, instance norm."""

from collections.abc import Sequence

from ix.dialects.ix.dialect import Flag, Float, Int, IxOp, Operand, Operands, Result
from ix.dialects.ix.shapes import (
    dim_sizes_agree,
    is_float,
    require,
    require_axis,
    require_element,
    require_same_elements,
    shape_text,
)
from ix.mlir import DYNAMIC, ir


class NormalizationOp(IxOp):
    """The base of all: the result has the input's type, of floats.

    f16, bf16 and f8 compute in f32 and round once.
    """

    @classmethod
    def require_floats(cls, input: ir.RankedTensorType) -> None:
        """Raises unless the elements are floats."""
        require_element(input, "floats", is_float(input.element_type))


class SoftmaxBaseOp(NormalizationOp):
    """The base of the softmax ops.

    input:   tensor<D0 x … x Dn x T>
    axis:    the axis along which the elements compete
    result:  tensor<D0 x … x Dn x T>
    """

    input: Operand
    axis: Int
    result: Result

    @classmethod
    def build(cls, input: ir.Value, *, axis: int) -> ir.Value:
        """Normalises along one axis (normalised, 0 ≤ axis < rank)."""
        return cls.create([input], axis=axis).result

    @classmethod
    def infer(cls, input: ir.RankedTensorType, *, axis: int) -> list[ir.Type]:
        """The input's type."""
        require_axis(axis, input.rank)
        cls.require_floats(input)
        return [input]


class SoftmaxOp(SoftmaxBaseOp, name="softmax"):
    """e^(x − max) / Σ e^(x − max) along an axis."""


class LogSoftmaxOp(SoftmaxBaseOp, name="log_softmax"):
    """(x − max) − log Σ e^(x − max) along an axis."""


class AffineOp(NormalizationOp):
    """The base of norms with an optional scale and an optional bias, in this order."""

    @property
    def scale(self) -> ir.Value | None:
        """What the normalised values are multiplied by."""
        return self.operands[1] if self.has_scale else None

    @property
    def bias(self) -> ir.Value | None:
        """What is added at the end."""
        return self.operands[-1] if self.has_bias else None

    @classmethod
    def require_affine(
        cls,
        operands: Sequence[ir.RankedTensorType],
        flags: Sequence[bool],
        shape: Sequence[int],
    ) -> None:
        """Raises unless the optional operands are those of the flags, of one shape."""
        cls.require_floats(operands[0])
        require(
            len(operands) == 1 + sum(flags),
            lambda: (
                f"needs {sum(flags)} operands after the input, as the flags say, "
                f"got {len(operands) - 1}"
            ),
        )
        require_same_elements(operands)
        for operand in operands[1:]:
            require(
                len(operand.shape) == len(shape)
                and all(map(dim_sizes_agree, operand.shape, shape)),
                lambda operand=operand: (
                    f"scale and bias must have the shape {shape_text(shape)}, "
                    f"got {operand}"
                ),
            )


class LayerNormOp(AffineOp, name="layer_norm"):
    """(x − mean) / √(variance + ε) · scale + bias over the axes from `axis` on.

    input:        tensor<D0 x … x Dn x T>
    scale, bias:  tensor<Daxis x … x Dn x T>, each optional
    epsilon:      ε
    result:       tensor<D0 x … x Dn x T>
    """

    input: Operand
    affine: Operands
    axis: Int
    epsilon: Float
    has_scale: Flag
    has_bias: Flag
    result: Result

    @classmethod
    def build(
        cls,
        input: ir.Value,
        scale: ir.Value | None = None,
        bias: ir.Value | None = None,
        *,
        axis: int,
        epsilon: float = 1e-5,
    ) -> ir.Value:
        """Normalises the axes from `axis` (normalised) on."""
        return cls.create(
            present(input, scale, bias),
            axis=axis,
            epsilon=epsilon,
            has_scale=scale is not None,
            has_bias=bias is not None,
        ).result

    @classmethod
    def infer(
        cls,
        *operands: ir.RankedTensorType,
        axis: int,
        epsilon: float,
        has_scale: bool,
        has_bias: bool,
    ) -> list[ir.Type]:
        """The input's type."""
        require_axis(axis, operands[0].rank)
        cls.require_affine(operands, [has_scale, has_bias], operands[0].shape[axis:])
        return [operands[0]]


class RmsNormOp(AffineOp, name="rms_norm"):
    """x / √(mean(x²) + ε) · scale over the axes from `axis` on.

    input:    tensor<D0 x … x Dn x T>
    scale:    tensor<Daxis x … x Dn x T>, optional
    epsilon:  ε
    result:   tensor<D0 x … x Dn x T>
    """

    input: Operand
    affine: Operands
    axis: Int
    epsilon: Float
    has_scale: Flag
    result: Result

    has_bias = False

    @classmethod
    def build(
        cls,
        input: ir.Value,
        scale: ir.Value | None = None,
        *,
        axis: int,
        epsilon: float = 1e-5,
    ) -> ir.Value:
        """Normalises the axes from `axis` (normalised) on."""
        return cls.create(
            present(input, scale),
            axis=axis,
            epsilon=epsilon,
            has_scale=scale is not None,
        ).result

    @classmethod
    def infer(
        cls,
        *operands: ir.RankedTensorType,
        axis: int,
        epsilon: float,
        has_scale: bool,
    ) -> list[ir.Type]:
        """The input's type."""
        require_axis(axis, operands[0].rank)
        cls.require_affine(operands, [has_scale], operands[0].shape[axis:])
        return [operands[0]]


class BatchNormOp(NormalizationOp, name="batch_norm"):
    """(x − mean) / √(variance + ε) · scale + bias, with given statistics.

    input:                        tensor<… x C x … x T>, C at `axis`
    scale, bias, mean, variance:  tensor<C x T>
    epsilon:                      ε
    result:                       the input's type
    """

    input: Operand
    scale: Operand
    bias: Operand
    mean: Operand
    variance: Operand
    axis: Int
    epsilon: Float
    result: Result

    @classmethod
    def build(
        cls,
        input: ir.Value,
        scale: ir.Value,
        bias: ir.Value,
        mean: ir.Value,
        variance: ir.Value,
        *,
        axis: int = 1,
        epsilon: float = 1e-5,
    ) -> ir.Value:
        """Normalises each feature, an index of `axis`."""
        operands = [input, scale, bias, mean, variance]
        return cls.create(operands, axis=axis, epsilon=epsilon).result

    @classmethod
    def infer(
        cls, *operands: ir.RankedTensorType, axis: int, epsilon: float
    ) -> list[ir.Type]:
        """The input's type."""
        input = operands[0]
        cls.require_floats(input)
        require_axis(axis, input.rank)
        require_same_elements(operands)
        for operand in operands[1:]:
            require_vector(operand, input.shape[axis])
        return [input]


class GroupNormOp(AffineOp, name="group_norm"):
    """Normalises each group of channels of each sample, all their positions together.

    input:        tensor<N x C x … x T>
    scale, bias:  tensor<C x T>, each optional
    groups:       divides C
    epsilon:      ε
    result:       tensor<N x C x … x T>
    """

    input: Operand
    affine: Operands
    groups: Int
    epsilon: Float
    has_scale: Flag
    has_bias: Flag
    result: Result

    @classmethod
    def build(
        cls,
        input: ir.Value,
        scale: ir.Value | None = None,
        bias: ir.Value | None = None,
        *,
        groups: int,
        epsilon: float = 1e-5,
    ) -> ir.Value:
        """Normalises `groups` groups of the channels, axis 1."""
        return cls.create(
            present(input, scale, bias),
            groups=groups,
            epsilon=epsilon,
            has_scale=scale is not None,
            has_bias=bias is not None,
        ).result

    @classmethod
    def infer(
        cls,
        *operands: ir.RankedTensorType,
        groups: int,
        epsilon: float,
        has_scale: bool,
        has_bias: bool,
    ) -> list[ir.Type]:
        """The input's type."""
        channels = require_channels(operands[0])
        require(
            groups >= 1 and (channels == DYNAMIC or channels % groups == 0),
            lambda: (
                f"groups must divide the channels, axis 1 of {operands[0]}, "
                f"got {groups}"
            ),
        )
        cls.require_affine(operands, [has_scale, has_bias], [channels])
        return [operands[0]]


class InstanceNormOp(AffineOp, name="instance_norm"):
    """Normalises each channel of each sample over its positions.

    input:        tensor<N x C x … x T>
    scale, bias:  tensor<C x T>, each optional
    epsilon:      ε
    result:       tensor<N x C x … x T>
    """

    input: Operand
    affine: Operands
    epsilon: Float
    has_scale: Flag
    has_bias: Flag
    result: Result

    @classmethod
    def build(
        cls,
        input: ir.Value,
        scale: ir.Value | None = None,
        bias: ir.Value | None = None,
        *,
        epsilon: float = 1e-5,
    ) -> ir.Value:
        """Normalises the axes from 2 on."""
        return cls.create(
            present(input, scale, bias),
            epsilon=epsilon,
            has_scale=scale is not None,
            has_bias=bias is not None,
        ).result

    @classmethod
    def infer(
        cls,
        *operands: ir.RankedTensorType,
        epsilon: float,
        has_scale: bool,
        has_bias: bool,
    ) -> list[ir.Type]:
        """The input's type."""
        channels = require_channels(operands[0])
        cls.require_affine(operands, [has_scale, has_bias], [channels])
        return [operands[0]]


def present(*values: ir.Value | None) -> list[ir.Value]:
    """The values that are there, in order."""
    return [value for value in values if value is not None]


def require_channels(input: ir.RankedTensorType) -> int:
    """The size of axis 1, the channels; raises where there is none."""
    require(input.rank >= 2, lambda: f"input must have axes N, C, …, got {input}")
    return input.shape[1]


def require_vector(operand: ir.RankedTensorType, size: int) -> None:
    """Raises unless the operand has rank 1 and `size` elements."""
    require(
        operand.rank == 1 and dim_sizes_agree(operand.shape[0], size),
        lambda: (
            f"scale, bias, mean and variance must have the shape {shape_text([size])}, "
            f"got {operand}"
        ),
    )

"""ConvolutionPlan: how a convolution is cut, its scratch, and its packed filter."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ix.passes.schedule.microkernel.builder import VectorTarget, aligned_bytes
from ix.passes.schedule.microkernel.register_tile import (
    TileShape,
    choose_tile,
    even_height,
)
from ix.runtime.sizes import Size, combine

__all__ = [
    "Axis",
    "ConvolutionPlan",
    "pack_filter",
    "plan_convolution",
    "plan_depthwise",
    "unpack_filter",
]

BLOCK_POSITIONS = 64
# The packed rows of the input share the level-2 cache with a panel of the filter.
SCRATCH_BYTES = 192 << 10
# A depthwise kernel has no panel, and should find its input in the level-1 cache.
DEPTHWISE_SCRATCH_BYTES = 32 << 10


@dataclass(frozen=True)
class Axis:
    """One spatial axis; sizes in elements, `padding` is that before the input.

    A kernel of one reads no elements between strides: those are left out of the
    scratch, unless `whole` asks for all, because vectors are read along the axis.
    """

    input: int
    output: int
    kernel: int = 1
    stride: int = 1
    dilation: int = 1
    padding: int = 0
    whole: bool = False

    @property
    def source_step(self) -> int:
        """Input elements between neighbours in the scratch."""
        return self.stride if self.kernel == 1 and not self.whole else 1

    @property
    def local_stride(self) -> int:
        """Scratch elements between neighbouring outputs."""
        return self.stride // self.source_step

    def extent(self, outputs: int) -> int:
        """Scratch elements that `outputs` neighbouring outputs read."""
        return (outputs - 1) * self.local_stride + (self.kernel - 1) * self.dilation + 1

    def needs_padding(self, outputs: int) -> bool:
        """Whether `outputs` outputs from the first on read outside the input."""
        last = (self.extent(outputs) - 1) * self.source_step - self.padding
        return self.padding > 0 or last >= self.input


@dataclass(frozen=True)
class ConvolutionPlan:
    """How a convolution is cut; `plan_convolution` or `plan_depthwise` makes one.

    Attributes:
        batch: Images.
        channels, features: Channels of the input, of the output.
        groups: Groups of channels, each of which sees its own.
        axes: Depth, height and width; of size 1 where there are fewer.
        rank: Spatial axes that there are.
        channels_last: The input is read along its channels, else along its width.
        tile: Register tile: tile_height · tile_width positions by vectors of features.
        block_height, block_width: Output positions of a work item.
        block_channels: Channels that lie in the scratch at a time.
        lanes: Elements of a vector.
        element_bits: Bits of an accumulator.
        depthwise: Each channel is a group of one feature.
    """

    batch: Size
    channels: int
    features: int
    groups: int
    axes: tuple[Axis, Axis, Axis]
    rank: int
    channels_last: bool
    tile: TileShape
    tile_height: int
    tile_width: int
    block_height: int
    block_width: int
    block_channels: int
    lanes: int
    element_bits: int
    depthwise: bool = False

    @property
    def panel_columns(self) -> int:
        """NR, the features of a panel."""
        return self.tile.vectors * self.lanes

    @property
    def group_channels(self) -> int:
        return self.channels // self.groups

    @property
    def group_features(self) -> int:
        return self.features // self.groups

    @property
    def group_panels(self) -> int:
        """Panels of a group; blocks of channels where depthwise."""
        size = self.channels if self.depthwise else self.group_features
        return -(-size // self.panel_columns)

    @property
    def panels(self) -> int:
        return self.group_panels * (1 if self.depthwise else self.groups)

    @property
    def blocks(self) -> tuple[int, int, int]:
        """Blocks of output positions along depth, height and width."""
        depth, height, width = self.axes
        return (
            depth.output,
            -(-height.output // self.block_height),
            -(-width.output // self.block_width),
        )

    @property
    def outer_blocks(self) -> Size:
        return combine("mul", self.batch, math.prod(self.blocks))

    @property
    def items(self) -> Size:
        """The number of work items."""
        return combine("mul", self.outer_blocks, self.panels)

    @property
    def scratch_rows(self) -> int:
        return self.axes[1].extent(self.block_height)

    @property
    def scratch_columns(self) -> int:
        return self.axes[2].extent(self.block_width)

    @property
    def row_elements(self) -> int:
        """Elements of a row of the scratch."""
        return self.scratch_columns * self.block_channels

    @property
    def plane_elements(self) -> int:
        return self.scratch_rows * self.row_elements

    @property
    def scratch_elements(self) -> int:
        """Elements of the packed input, with room to overshoot."""
        slack = self.lanes * (1 if self.channels_last else self.block_channels + 1)
        return self.axes[0].kernel * self.plane_elements + slack

    @property
    def scratch_bytes(self) -> int:
        """Bytes of the scratch that each thread needs."""
        return aligned_bytes((self.scratch_elements,), self.element_bits)

    @property
    def filter_shape(self) -> tuple[int, ...]:
        """The shape of the packed filter."""
        depth, height, width = (axis.kernel for axis in self.axes)
        if self.depthwise:
            return (self.panels, depth, height, width, self.panel_columns)
        row = width * self.group_channels
        return (self.panels, depth, height, row, self.panel_columns)


def plan_convolution(
    target: VectorTarget,
    *,
    batch: Size,
    channels: int,
    features: int,
    axes: Sequence[Axis],
    groups: int = 1,
    channels_last: bool = True,
    element_bits: int = 32,
    positions: int = BLOCK_POSITIONS,
) -> ConvolutionPlan:
    """Picks the register tile and the work items of a convolution.

    Args:
        target: Supplies the number and width of vector registers.
        batch: Images.
        channels, features: Channels of the input, of the output.
        axes: The 1 to 3 spatial axes, outermost first.
        groups: Groups of channels.
        channels_last: The input is read along its channels, else along its width.
        element_bits: Bits of an accumulator: 32 or 64.
        positions: Output positions that share one pass over a panel of the filter.
    """
    lanes = target.lanes(element_bits)
    tile = choose_tile(target)
    vectors = min(tile.vectors, -(-(features // groups) // lanes))
    padded = _three(axes, channels_last)
    depth, height, width = padded
    tile_height, tile_width = _tile_of(height.output, width.output, tile.rows)
    row = depth.kernel * channels * element_bits // 8
    block_width = width.output
    while (
        block_width > 2 * tile_width
        and height.extent(tile_height) * width.extent(block_width) * row > SCRATCH_BYTES
    ):
        block_width = -(-block_width // 2 // tile_width) * tile_width
    block_height = _block_of(height.output, -(-positions // block_width), tile_height)
    return ConvolutionPlan(
        batch=batch,
        channels=channels,
        features=features,
        groups=groups,
        axes=padded,
        rank=len(axes),
        channels_last=channels_last,
        tile=TileShape(tile_height * tile_width, vectors),
        tile_height=tile_height,
        tile_width=tile_width,
        block_height=block_height,
        block_width=block_width,
        block_channels=channels,
        lanes=lanes,
        element_bits=element_bits,
    )


def plan_depthwise(
    target: VectorTarget,
    *,
    batch: Size,
    channels: int,
    axes: Sequence[Axis],
    channels_last: bool = True,
    element_bits: int = 32,
) -> ConvolutionPlan:
    """Picks the tile and the work items of a depthwise convolution.

    Args:
        target: Supplies the number and width of vector registers.
        batch: Images.
        channels: Channels, each with a filter of its own.
        axes: The 1 to 3 spatial axes, outermost first.
        channels_last: The input is read along its channels, else along its width.
        element_bits: Bits of an accumulator: 32 or 64.
    """
    lanes = target.lanes(element_bits)
    tile = choose_tile(target)
    vectors = min(tile.vectors, -(-channels // lanes))
    padded = _three(axes, channels_last)
    depth, height, width = padded
    tile_width = even_height(width.output, tile.rows)
    row = depth.kernel * vectors * lanes * element_bits // 8
    most = DEPTHWISE_SCRATCH_BYTES // (row * width.extent(width.output))
    overlap = height.extent(1) - height.local_stride
    rows = max((most - overlap) // height.local_stride, 1)
    return ConvolutionPlan(
        batch=batch,
        channels=channels,
        features=channels,
        groups=channels,
        axes=padded,
        rank=len(axes),
        channels_last=channels_last,
        tile=TileShape(tile_width, vectors),
        tile_height=1,
        tile_width=tile_width,
        block_height=_block_of(height.output, min(rows, height.output), 1),
        block_width=width.output,
        block_channels=vectors * lanes,
        lanes=lanes,
        element_bits=element_bits,
        depthwise=True,
    )


def _three(axes: Sequence[Axis], channels_last: bool) -> tuple[Axis, Axis, Axis]:
    depth, height, width = [Axis(1, 1)] * (3 - len(axes)) + list(axes)
    return depth, height, dataclasses.replace(width, whole=not channels_last)


def _tile_of(height: int, width: int, most: int) -> tuple[int, int]:
    """Positions of a register tile: one row, or several whole ones where short."""
    tile_width = even_height(width, most)
    if tile_width < width:
        return 1, tile_width
    return max(min(most // width, height), 1), width


def _block_of(size: int, least: int, step: int) -> int:
    """Blocks of about equal size, at least `least`, a multiple of `step`."""
    count = max(size // max(least, step), 1)
    per_block = -(-size // count)
    return -(-per_block // step) * step


def pack_filter(
    array: npt.NDArray[Any], plan: ConvolutionPlan, *, channels_last: bool = False
) -> npt.NDArray[Any]:
    """Packs a filter into the plan's `filter_shape`, padded with zeros.

    Args:
        array: [features, channels / groups, k…], or [k…, channels / groups, features]
            with channels_last.
    """
    if not channels_last:
        array = np.moveaxis(array, (0, 1), (-1, -2))
    kernel = tuple(axis.kernel for axis in plan.axes)
    inner, features = array.shape[-2:]
    columns = plan.panel_columns
    parts = 1 if plan.depthwise else plan.groups
    width = plan.group_panels * columns
    wide = np.zeros((*kernel, inner, parts, width), array.dtype)
    split = array.reshape(*kernel, inner, parts, features // parts)
    wide[..., : features // parts] = split
    panels = wide.reshape(*kernel, inner, plan.panels, columns)
    return np.ascontiguousarray(np.moveaxis(panels, -2, 0)).reshape(plan.filter_shape)


def unpack_filter(packed: npt.NDArray[Any], plan: ConvolutionPlan) -> npt.NDArray[Any]:
    """The inverse of `pack_filter`: [features, channels / groups, k…]."""
    kernel = tuple(axis.kernel for axis in plan.axes)
    inner = 1 if plan.depthwise else plan.group_channels
    parts = 1 if plan.depthwise else plan.groups
    panels = packed.reshape(plan.panels, *kernel, inner, plan.panel_columns)
    wide = np.moveaxis(panels, 0, -2).reshape(*kernel, inner, parts, -1)
    narrow = wide[..., : plan.features // parts]
    array = narrow.reshape(*kernel[3 - plan.rank :], inner, plan.features)
    return np.ascontiguousarray(np.moveaxis(array, (-1, -2), (0, 1)))

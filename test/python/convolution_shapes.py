"""Sizes of convolutions, and what they are by definition."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np

from ix.passes.schedule.microkernel.convolution import Axis

__all__ = ["Shape", "convolution"]

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Shape:
    """Sizes of one convolution; lists have one entry for each spatial axis."""

    batch: int
    channels: int
    features: int
    spatial: tuple[int, ...]
    kernel: tuple[int, ...]
    strides: tuple[int, ...] = ()
    dilations: tuple[int, ...] = ()
    low: tuple[int, ...] = ()
    high: tuple[int, ...] = ()
    groups: int = 1

    def full(self, values: tuple[int, ...], default: int) -> tuple[int, ...]:
        return values or (default,) * len(self.spatial)

    @property
    def padding(self) -> list[tuple[int, int]]:
        low = self.full(self.low, 0)
        return list(zip(low, self.high or low, strict=True))

    @property
    def axes(self) -> list[Axis]:
        strides, dilations = self.full(self.strides, 1), self.full(self.dilations, 1)
        return [
            Axis(size, (size + sum(pad) - (k - 1) * d - 1) // s + 1, k, s, d, pad[0])
            for size, k, s, d, pad in zip(
                self.spatial, self.kernel, strides, dilations, self.padding, strict=True
            )
        ]

    @property
    def depthwise(self) -> bool:
        return self.groups == self.channels == self.features > 1


def convolution(x: Array, f: Array, shape: Shape) -> Array:
    """[n, c, …] and [o, c / groups, k…] → [n, …, o], by the definition."""
    axes, groups = shape.axes, shape.groups
    padded = np.pad(x.astype("f8"), [(0, 0), (0, 0), *shape.padding])
    outputs = [axis.output for axis in axes]
    y = np.zeros((shape.batch, *outputs, shape.features))
    split = f.astype("f8").reshape(groups, -1, *f.shape[1:])
    for tap in itertools.product(*(range(axis.kernel) for axis in axes)):
        window = tuple(
            slice(
                start := t * a.dilation, start + (a.output - 1) * a.stride + 1, a.stride
            )
            for t, a in zip(tap, axes, strict=True)
        )
        part = padded[(slice(None), slice(None), *window)]
        part = part.reshape(shape.batch, groups, -1, *outputs)
        weights = split[(slice(None), slice(None), slice(None), *tap)]
        y += np.einsum("ngc...,goc->n...go", part, weights).reshape(y.shape)
    return y

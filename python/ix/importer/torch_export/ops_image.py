"""Pooling and resampling."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ix.importer import builder as b
from ix.importer.dims import DimExpr, same
from ix.importer.torch_export.call import Call, Handler, NotSupported

__all__ = ["IMAGE"]


def _batched(spatial: int, x: Any) -> Any:
    return b.expand_dims(x, 0) if b.rank(x) == spatial + 1 else x


def _max_pool(spatial: int) -> Handler:
    def handler(
        call: Call,
        x: Any,
        kernel_size: Any,
        stride: Any = (),
        padding: Any = 0,
        dilation: Any = 1,
        ceil_mode: bool = False,
    ) -> Any:
        result = b.max_pool(
            _batched(spatial, x),
            kernel_size,
            stride or None,
            padding,
            None,
            dilation,
            ceil_mode=ceil_mode,
        )
        return b.reshape(result, call.shape)

    return handler


def _max_pool_with_indices(spatial: int) -> Handler:
    def handler(call: Call, *args: Any, **kwargs: Any) -> Any:
        return _max_pool(spatial)(call, *args, **kwargs), None

    return handler


def _avg_pool(spatial: int) -> Handler:
    def handler(
        call: Call,
        x: Any,
        kernel_size: Any,
        stride: Any = (),
        padding: Any = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> Any:
        if divisor_override is not None:
            raise NotSupported("divisor_override")
        result = b.avg_pool(
            _batched(spatial, x),
            kernel_size,
            stride or None,
            padding,
            ceil_mode=ceil_mode,
            count_include_pad=count_include_pad,
        )
        return b.reshape(result, call.shape)

    return handler


def _adaptive_avg_pool(spatial: int) -> Handler:
    """Averages over windows that may overlap: one small product for each axis."""

    def handler(call: Call, x: Any, output_size: Any) -> Any:
        first = b.rank(x) - spatial
        wanted = call.shape[first:]
        if all(same(each, 1) for each in wanted):
            return b.mean(x, list(range(first, b.rank(x))), keepdims=True)
        for axis, size in enumerate(wanted, first):
            x = _average_axis(x, axis, size)
        return x

    return handler


def _average_axis(x: Any, axis: int, wanted: Any) -> Any:
    amount = b.shape(x)[axis]
    if same(amount, wanted):
        return x
    if isinstance(amount, DimExpr) or isinstance(wanted, DimExpr):
        raise NotSupported("an axis of dynamic size")
    weights = np.zeros((amount, wanted))
    for at, (start, limit) in enumerate(_windows(amount, wanted)):
        weights[start:limit, at] = 1 / (limit - start)
    product = b.matmul(b.moveaxis(x, axis, -1), weights.astype(b.dtype(x)))
    return b.moveaxis(product, -1, axis)


def _windows(amount: int, wanted: int) -> list[tuple[int, int]]:
    """⌊i · n / m⌋ … ⌈(i + 1) · n / m⌉, torch's adaptive windows."""
    return [
        (at * amount // wanted, -(-(at + 1) * amount // wanted)) for at in range(wanted)
    ]


def _adaptive_max_pool(spatial: int) -> Handler:
    def handler(call: Call, x: Any, output_size: Any) -> Any:
        first = b.rank(x) - spatial
        for axis, size in enumerate(call.shape[first:], first):
            x = _maximum_axis(x, axis, size)
        return x, None

    return handler


def _maximum_axis(x: Any, axis: int, wanted: Any) -> Any:
    amount = b.shape(x)[axis]
    if isinstance(amount, DimExpr) or isinstance(wanted, DimExpr):
        raise NotSupported("an axis of dynamic size")
    parts = [
        b.amax(b.slice_axis(x, axis, start, limit), [axis], keepdims=True)
        for start, limit in _windows(amount, wanted)
    ]
    return b.concat(parts, axis)


def _upsample(mode: str, coordinates: str, nearest: str) -> Handler:
    """`scales` of torch are those of the last axes; None follows from the sizes."""

    def handler(call: Call, x: Any, output_size: Any, *scales: Any) -> Any:
        return _resize(call, x, scales, mode, coordinates, nearest)

    return handler


def _upsample_aligned(mode: str, antialias: bool = False) -> Handler:
    def handler(
        call: Call, x: Any, output_size: Any, align_corners: bool, *scales: Any
    ) -> Any:
        coordinates = "align_corners" if align_corners else "half_pixel"
        return _resize(call, x, scales, mode, coordinates, "floor", antialias)

    return handler


def _upsample_vec(mode: str, coordinates: str, nearest: str) -> Handler:
    def handler(call: Call, x: Any, output_size: Any, scale_factors: Any) -> Any:
        return _resize(call, x, scale_factors or (), mode, coordinates, nearest)

    return handler


def _upsample_vec_aligned(mode: str, antialias: bool = False) -> Handler:
    def handler(
        call: Call, x: Any, output_size: Any, align_corners: bool, scale_factors: Any
    ) -> Any:
        coordinates = "align_corners" if align_corners else "half_pixel"
        scales = scale_factors or ()
        return _resize(call, x, scales, mode, coordinates, "floor", antialias)

    return handler


def _resize(
    call: Call,
    x: Any,
    scales: Sequence[Any],
    mode: str,
    coordinates: str,
    nearest: str,
    antialias: bool = False,
) -> Any:
    given = None
    if scales and all(isinstance(each, float | int) for each in scales):
        lead = b.rank(x) - len(scales)
        given = [1.0] * lead + [float(each) for each in scales]
    return b.resize(x, call.shape, given, mode, coordinates, nearest, -0.75, antialias)


def _upsamples() -> dict[str, Handler]:
    """All spatial ranks of nearest, exact nearest, linear and cubic resampling."""
    found: dict[str, Handler] = {}
    nearest = ("nearest", "asymmetric", "floor")
    exact = ("nearest", "half_pixel", "round_prefer_ceil")
    for rank in "123":
        for name, how in (("", nearest), ("_exact", exact)):
            op = f"aten.{'_' * bool(name)}upsample_nearest{name}{rank}d"
            found[f"{op}.default"] = _upsample(*how)
            found[f"{op}.vec"] = _upsample_vec(*how)
    smooth = {
        "upsample_linear1d": ("linear", False),
        "upsample_bilinear2d": ("linear", False),
        "upsample_trilinear3d": ("linear", False),
        "upsample_bicubic2d": ("cubic", False),
        "_upsample_bilinear2d_aa": ("linear", True),
        "_upsample_bicubic2d_aa": ("cubic", True),
    }
    for name, (mode, antialias) in smooth.items():
        found[f"aten.{name}.default"] = _upsample_aligned(mode, antialias)
        found[f"aten.{name}.vec"] = _upsample_vec_aligned(mode, antialias)
    return found


def _pools() -> dict[str, Handler]:
    found: dict[str, Handler] = {}
    for rank in (1, 2, 3):
        found[f"aten.max_pool{rank}d.default"] = _max_pool(rank)
        found[f"aten.max_pool{rank}d_with_indices.default"] = _max_pool_with_indices(
            rank
        )
        found[f"aten.avg_pool{rank}d.default"] = _avg_pool(rank)
        for prefix in ("", "_") if rank > 1 else ("",):
            name = f"aten.{prefix}adaptive_avg_pool{rank}d.default"
            found[name] = _adaptive_avg_pool(rank)
        found[f"aten.adaptive_max_pool{rank}d.default"] = _adaptive_max_pool(rank)
    return found


IMAGE: dict[str, Handler] = {**_pools(), **_upsamples()}

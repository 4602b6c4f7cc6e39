"""Resampling of images: Resize, GridSample, RoiAlign, DeformConv and their like."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ix.importer import builder as b
from ix.importer.dims import DimExpr, product, same
from ix.importer.onnx.node import Handler, Node, Unsupported
from ix.importer.onnx.ops_movement import axes_of, sizes_from
from ix.importer.onnx.resize import Resize, resized, scaled
from ix.importer.onnx.sampling import PADDINGS, pixel, sample
from ix.importer.onnx.windows import window, window_indices

__all__ = ["IMAGE"]


def _resize(node: Node) -> Any:
    sizes = list(node.shape(0))
    scales_at = 1 if node.opset < 11 else 2
    axes = axes_of(node, 9, len(sizes)) or list(range(len(sizes)))
    scales = [1.0] * len(sizes)
    result = list(sizes)
    if node.has(3) and node.shape(3) != (0,):
        wanted = sizes_from(node, 3, "sizes")
        _fill_from_sizes(node, axes, wanted, scales, result)
    else:
        given = node.constant(scales_at, "scales").reshape(-1)
        for axis, scale in zip(axes, given, strict=True):
            scales[axis] = float(scale)
            result[axis] = scaled(sizes[axis], float(scale))
    coordinates = "asymmetric" if node.opset < 11 else "half_pixel"
    plan = Resize(
        scales=scales,
        sizes=result,
        mode=node.text("mode", "nearest"),
        coordinates=node.text("coordinate_transformation_mode", coordinates),
        nearest=node.text(
            "nearest_mode", "floor" if node.opset < 11 else "round_prefer_floor"
        ),
        cubic=node.number("cubic_coeff_a", -0.75),
        antialias=node.flag("antialias"),
        exclude_outside=node.flag("exclude_outside"),
        extrapolation=node.number("extrapolation_value", 0.0),
        roi=_region(node, axes, len(sizes)),
    )
    return resized(node.input(0), plan)


def _fill_from_sizes(
    node: Node,
    axes: Sequence[int],
    wanted: Sequence[Any],
    scales: list[float],
    result: list[Any],
) -> None:
    """Scales and result sizes from the sizes that a node asks for."""
    policy = node.text("keep_aspect_ratio_policy", "stretch")
    if policy == "stretch":
        for axis, want in zip(axes, wanted, strict=True):
            scales[axis], result[axis] = _ratio(want, result[axis]), want
        return
    old = [result[axis] for axis in axes]
    if any(isinstance(size, DimExpr) for size in (*wanted, *old)):
        raise Unsupported("needs static sizes to keep their ratio")
    ratios = [want / size for size, want in zip(old, wanted, strict=True)]
    common = min(ratios) if policy == "not_larger" else max(ratios)
    for axis in axes:
        scales[axis] = common
        result[axis] = math.floor(common * result[axis] + 0.5)


def _ratio(want: Any, size: Any) -> float:
    """Result size / size; 0, which leaves it to the run, where one is dynamic."""
    if same(want, size):
        return 1.0
    if isinstance(want, DimExpr) or isinstance(size, DimExpr) or not size:
        return 0.0
    return float(want / size)


def _region(node: Node, axes: Sequence[int], rank: int) -> list[tuple[float, float]]:
    """Start and end of the region of interest on each axis, of 0..1."""
    region = [(0.0, 1.0)] * rank
    if node.text("coordinate_transformation_mode", "") != "tf_crop_and_resize":
        return region
    given = node.constant(1, "region").reshape(-1).tolist()
    for place, axis in enumerate(axes):
        region[axis] = (given[place], given[place + len(axes)])
    return region


def _upsample(node: Node) -> Any:
    sizes = list(node.shape(0))
    if node.has_attribute("scales"):
        scales = node.numbers("scales")
    else:
        scales = [float(each) for each in node.constant(1, "scales").reshape(-1)]
    result = [scaled(size, scale) for size, scale in zip(sizes, scales, strict=True)]
    mode = node.text("mode", "nearest")
    return resized(
        node.input(0),
        Resize(scales, result, mode, "asymmetric", "floor", roi=[(0.0, 1.0)] * 9),
    )


def _grid_sample(node: Node) -> Any:
    x, spatial = node.input(0), node.spatial(0)
    grid, shape = node.input(1), node.shape(1)
    mode = {"bilinear": "linear", "bicubic": "cubic"}.get(
        node.text("mode", "linear"), node.text("mode", "linear")
    )
    padding = node.text("padding_mode", "zeros")
    if mode not in ("nearest", "linear", "cubic") or padding not in PADDINGS:
        raise Unsupported(f"has mode {mode!r} or padding {padding!r}")
    align = node.flag("align_corners")
    count = len(spatial)
    flat = b.reshape(grid, [shape[0], product(shape[1:-1]), count])
    places = []
    for axis, size in enumerate(spatial):
        # The grid names the last axis first, and spans −1..1.
        last = count - 1 - axis
        unit = b.squeeze(b.slice_axis(flat, 2, last, last + 1), 2)
        if align:
            places.append(b.mul(b.add(unit, 1.0), (size - 1) / 2))
        else:
            places.append(b.div(b.sub(b.mul(b.add(unit, 1.0), float(size)), 1.0), 2.0))
    result = sample(x, places, mode, padding, align)
    lead = node.shape(0)[:2]
    return b.cast(b.reshape(result, [*lead, *shape[1:-1]]), node.dtype(0))


def _roi_align(node: Node) -> Any:
    """Bilinear samples on a grid in each region, pooled for each cell of the output."""
    x, (height, width) = node.input(0), node.spatial(0)
    channels = node.shape(0)[1]
    regions, count = node.input(1), node.shape(1)[0]
    ratio = node.integer("sampling_ratio", 0)
    if ratio <= 0:
        raise Unsupported("takes its number of samples from the data")
    mode = node.text("mode", "avg")
    default = "half_pixel" if node.opset >= 16 else "output_half_pixel"
    half = node.text("coordinate_transformation_mode", default) == "half_pixel"
    rows, columns = node.integer("output_height", 1), node.integer("output_width", 1)
    scaled = b.mul(regions, node.number("spatial_scale", 1.0))
    scaled = b.sub(scaled, 0.5 if half else 0.0)
    x0, y0, x1, y1 = b.split(scaled, 4, 1)  # each [regions, 1]
    y = _grid(y0, y1, rows, ratio, half)
    x_places = _grid(x0, x1, columns, ratio, half)
    shape = [count, rows * ratio, columns * ratio]
    y = b.reshape(b.broadcast_to(b.expand_dims(y, 2), shape), [count, -1])
    across = b.reshape(b.broadcast_to(b.expand_dims(x_places, 1), shape), [count, -1])
    outside = b.logical_or(_beyond(y, height), _beyond(across, width))
    images = b.take(x, b.cast(node.input(2), np.int64), 0)
    corners = _bilinear_corners(images, y, across, height, width)
    keep = b.expand_dims(b.logical_not(outside), 1)
    grid = [count, channels, rows, ratio, columns, ratio]
    cells = [b.reshape(b.select(keep, each, 0.0), grid) for each in corners]
    if mode == "avg":
        total = cells[0]
        for cell in cells[1:]:
            total = b.add(total, cell)
        return b.mean(total, [3, 5])
    best = cells[0]
    for cell in cells[1:]:
        best = b.max(best, cell)
    return b.amax(best, [3, 5])


def _grid(low: Any, high: Any, cells: int, ratio: int, half: bool) -> Any:
    """The places of samples along one axis, [regions, cells · ratio]."""
    extent = b.sub(high, low)
    if not half:
        extent = b.max(extent, 1.0)  # a malformed region counts as one pixel
    steps = (np.arange(cells * ratio) + 0.5) / (ratio * cells)
    return b.add(low, b.mul(extent, steps.astype(np.float32)[None, :]))


def _beyond(place: Any, size: int) -> Any:
    return b.logical_or(b.lt(place, -1.0), b.gt(place, float(size)))


def _bilinear_corners(
    images: Any, y: Any, x: Any, height: int, width: int
) -> list[Any]:
    """The four weighted neighbours of each place."""
    axes = []
    for place, size in ((y, height), (x, width)):
        inside = b.clip(place, 0.0, float(size - 1))
        low = b.floor(inside)
        rest = b.sub(inside, low)
        high = b.min(b.add(low, 1.0), float(size - 1))
        axes.append([(low, b.sub(1.0, rest)), (high, rest)])
    return [
        b.mul(
            pixel(images, [at_y, at_x], "border", True),
            b.expand_dims(b.mul(weight_y, weight_x), 1),
        )
        for at_y, weight_y in axes[0]
        for at_x, weight_x in axes[1]
    ]


def _deform_conv(node: Node) -> Any:
    """A convolution that samples its input at learned offsets.

    Σ over kernel places of weight · mask · x(place + offset), as a matrix product of
    the filter with the sampled patches.
    """
    n, channels = node.shape(0)[0], node.size(0, 1)
    outputs, per_group, *kernel = node.sizes(1)
    rows, columns = node.spatial(2)
    place, groups = window(node, kernel), node.integer("group", 1)
    fields = node.integer("offset_group", 1)
    taps, points = math.prod(kernel), rows * columns
    offset = b.reshape(node.input(2), [n, fields, taps, 2, points])
    patches = []
    for field in range(fields):
        each = channels // fields
        image = b.slice_axis(node.input(0), 1, field * each, (field + 1) * each)
        shift = b.squeeze(b.slice_axis(offset, 1, field, field + 1), 1)
        places = []
        for axis in range(2):
            base = _tap_positions(place, axis, (rows, columns), kernel)
            moved = b.squeeze(b.slice_axis(shift, 2, axis, axis + 1), 2)
            places.append(b.reshape(b.add(moved, base[None]), [n, taps * points]))
        patches.append(sample(image, places, "linear", "zeros", True))
    patch = b.reshape(b.concat(patches, 1), [n, fields, -1, taps, points])
    if node.has(4):
        patch = b.mul(patch, b.reshape(node.input(4), [n, fields, 1, taps, points]))
    patch = b.reshape(patch, [n, groups, per_group * taps, points])
    weight = b.reshape(node.input(1), [groups, outputs // groups, per_group * taps])
    result = b.reshape(b.matmul(weight, patch), [n, outputs, rows, columns])
    if node.has(3):
        result = b.add(result, b.reshape(node.input(3), [outputs, 1, 1]))
    return result


def _tap_positions(
    place: Any, axis: int, result: tuple[int, int], kernel: Sequence[int]
) -> np.ndarray[Any, Any]:
    """Where each kernel place reads on one axis without offsets, [taps, points]."""
    starts = np.arange(result[axis]) * place.strides[axis] - place.low[axis]
    steps = np.arange(kernel[axis]) * place.dilations[axis]
    shape = [1, 1, 1, 1]
    shape[axis], shape[2 + axis] = len(steps), len(starts)
    grid = np.add.outer(steps, starts).reshape(shape)
    full = np.broadcast_to(grid, (*kernel, *result))
    return full.reshape(math.prod(kernel), -1).astype(np.float32)


def _col2im(node: Node) -> Any:
    """Adds overlapping columns back into an image: a scatter by constant indices."""
    image = node.constant_integers(1, "image shape")
    block = node.constant_integers(2, "block shape")
    n, merged = node.shape(0)[0], node.size(0, 1)
    place = window(node, block)
    taps, pixels = math.prod(block), math.prod(image)
    channels = merged // taps
    where = window_indices(image, place)
    count = len(image)
    where = where.transpose([*range(count, 2 * count), *range(count)])
    # What falls into the padding goes to one extra element that is cut off.
    target = np.where(where < 0, pixels, where).reshape(-1)
    columns = b.reshape(node.input(0), [n, channels, -1])
    indices = np.broadcast_to(target, (n, channels, target.size))
    empty = b.zeros([n, channels, pixels + 1], node.dtype(0))
    filled = b.scatter(empty, np.ascontiguousarray(indices), columns, 2, "add")
    return b.reshape(b.slice_axis(filled, 2, 0, pixels), [n, channels, *image])


def _max_unpool(node: Node) -> Any:
    sizes = node.sizes(0)
    place = window(node)
    inferred = [
        (size - 1) * step - low - high + reach
        for size, step, low, high, reach in zip(
            sizes[2:], place.strides, place.low, place.high, place.kernel, strict=True
        )
    ]
    shape = [*sizes[:2], *inferred]
    empty = b.zeros([math.prod(shape)], node.dtype(0))
    indices, values = b.ravel(node.input(1)), b.ravel(node.input(0))
    result = b.reshape(b.scatter(empty, indices, values, 0), shape)
    if not node.has(2):
        return result
    wanted = node.constant_integers(2, "output shape")
    widths = [(0, want - size) for want, size in zip(wanted, shape, strict=True)]
    return b.pad(result, widths)


IMAGE: dict[str, Handler] = {
    "Col2Im": _col2im,
    "DeformConv": _deform_conv,
    "GridSample": _grid_sample,
    "MaxUnpool": _max_unpool,
    "Resize": _resize,
    "RoiAlign": _roi_align,
    "Upsample": _upsample,
}
"""Op type → handler."""

"""Convolutions without a column matrix: an implicit matmul over output positions.

    y[n, p, o] = epilogue(Σ over taps k, channels c of x[n, p·stride + k·dilation, c]·f)

A zero padding in front is not in memory: the kernel knows its edges. The filter must be
a constant, which is packed at compile time; vectors run along the output channels.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import Any

from ix.mlir import DYNAMIC, defining_op, ir
from ix.passes.linalg.structure import Convolution, match_convolution
from ix.passes.schedule.elemental import Lanes
from ix.passes.schedule.index import Index
from ix.passes.schedule.kernel import Frame, Kernel, KernelCode, Packing, build
from ix.passes.schedule.microkernel.amx import TILE_DEPTH
from ix.passes.schedule.microkernel.builder import Builder
from ix.passes.schedule.microkernel.convolution import (
    Axis,
    ConvolutionPlan,
    emit_convolution,
    plan_convolution,
    plan_depthwise,
)
from ix.passes.schedule.microkernel.tile_convolution import (
    TileConvolutionPlan,
    emit_tile_convolution,
    plan_tile_convolution,
)
from ix.passes.schedule.microkernel.tile_product import PARTS
from ix.passes.schedule.packing import packing, tile_steps
from ix.passes.schedule.rules.contraction import (
    GFLOPS,
    TILED_GFLOPS,
    finish_outputs,
    starts_from_zero,
    tiles_pay,
)
from ix.passes.schedule.structure import kind_of
from ix.passes.schedule.symbols import reassociation, segments
from ix.runtime.sizes import bounds, product
from ix.target import Target

__all__ = ["apply"]


def apply(kernel: Kernel, target: Target) -> KernelCode | None:
    """Takes f32 convolutions of known sizes with a constant filter."""
    if kernel.family != "contraction":
        return None
    anchors = [op for op in kernel.ops if kind_of(op) == "contraction"]
    match = match_convolution(anchors[0]) if len(anchors) == 1 else None
    if match is None:
        return None
    (anchor,) = anchors
    single = str(anchor.operation.results[0].type.element_type) == "f32"
    if not kernel.needs(single, "other-elements") or not starts_from_zero(anchor):
        return None
    if not _is_simple(kernel, anchor, match):
        return None
    source = _source(kernel, anchor, match)
    if source is None:
        return None
    return _Rule(kernel, target, anchor, match, source).code()


def _is_simple(kernel: Kernel, anchor: Any, match: Convolution) -> bool:
    """Whether the loops are those that the kernel's plan knows."""
    filter_ = list(anchor.inputs)[1]
    constant = filter_ in kernel.inputs and kernel.is_constant(
        kernel.inputs.index(filter_)
    )
    return (
        kernel.needs(constant, "not-constant")
        and all(offset == 0 for offset in match.offsets)
        and all(dilation > 0 for dilation in match.dilations)
        and 1 <= len(match.places) <= 3
        and max(len(match.groups), len(match.outputs), len(match.inputs)) <= 1
        and (bool(match.outputs) or bool(match.groups))
        and DYNAMIC not in filter_.type.shape
        and ir.FloatType(filter_.type.element_type).width >= 16  # f8 is bytes
        and all(axis is not None for axis in match.filter_axes)
        and all(axis is not None for axis in match.out_axes)
    )


@dataclass
class _Source:
    """The input as it lies in memory, before padding.

    value: The tensor that is read.
    roles: What each of its axes is: ("batch" | "group" | "input", loop), ("window", i),
        or ("channel", 0), which runs over groups and inputs.
    padding: Zeros before each windowed axis.
    """

    value: Any
    roles: list[tuple[str, int]]
    padding: list[int]


def _source(  # noqa: C901  one guard a line
    kernel: Kernel, anchor: Any, match: Convolution
) -> _Source | None:
    roles = _roles(match)
    value = anchor.inputs[0]
    if roles is None:
        return None
    expand = defining_op(value)
    if expand is not None and expand.operation.name == "tensor.expand_shape":
        merged: list[tuple[str, int]] = []
        for group in reassociation(expand):
            kinds = [roles[axis] for axis in group]
            if len(kinds) == 1:
                merged += kinds
            elif [kind for kind, _ in kinds] == ["group", "input"]:
                merged.append(("channel", 0))
            else:
                return None
        roles, value = merged, expand.operation.operands[0]
    padding = [0] * len(match.places)
    pad = defining_op(value)
    if pad is not None and pad.operation.name == "tensor.pad":
        lows = _zero_padding(pad)
        if lows is None:
            kernel.decline("other-padding")
            return None
        for (kind, number), low in zip(roles, lows, strict=True):
            if kind == "window":
                padding[number] = low
            elif low:
                kernel.decline("other-padding")
                return None
        value = segments(pad)[0][0]
    windows = [kernel.shape(value)[a] for a, r in enumerate(roles) if r[0] == "window"]
    known = all(isinstance(size, int) for size in windows)
    if not kernel.needs(known, "dynamic-image"):
        return None
    return _Source(value, roles, padding)


def _roles(match: Convolution) -> list[tuple[str, int]] | None:
    """What each axis of the first input is; None where it is something else."""
    roles: list[tuple[str, int]] = []
    plain = {loop: "batch" for loop in match.batch}
    plain.update({loop: "group" for loop in match.groups})
    plain.update({loop: "input" for loop in match.inputs})
    for reading in match.x_axes:
        if reading.loop is not None and reading.loop in plain:
            roles.append((plain[reading.loop], reading.loop))
            continue
        places = [p for p in reading.factors if p in match.places]
        if len(places) != 1:
            return None
        roles.append(("window", match.places.index(places[0])))
    return roles


def _zero_padding(pad: Any) -> list[int] | None:
    """The zeros before each axis; None where they are not zeros or not known."""
    block = pad.operation.regions[0].blocks[0]
    filler = defining_op(block.operations[0].operation.operands[0])
    if filler is None or filler.operation.name != "arith.constant":
        return None
    value = filler.operation.attributes["value"]
    if not isinstance(value, ir.FloatAttr) or value.value != 0.0:
        return None
    lows = [
        int(v) for v in ir.DenseI64ArrayAttr(pad.operation.attributes["static_low"])
    ]
    return None if DYNAMIC in lows or min(lows) < 0 else lows


class _Rule:
    def __init__(
        self,
        kernel: Kernel,
        target: Target,
        anchor: Any,
        match: Convolution,
        source: _Source,
    ) -> None:
        self.kernel = kernel
        self.target = target
        self.match = match
        self.source = source
        self.result = anchor.operation.results[0]
        self.filter = list(anchor.inputs)[1]
        self.sizes: dict[int, Any] = {}
        for value, axes in (
            (self.filter, match.filter_axes),
            (self.result, match.out_axes),
        ):
            for axis, loop in enumerate(axes):
                assert loop is not None
                self.sizes[loop] = kernel.shape(value)[axis]
        self.groups = self._total(match.groups)
        self.outputs = self._total(match.outputs)
        self.inputs = self._total(match.inputs)
        self.plan, self.tiled = self._plan()

    def _total(self, loops: tuple[int, ...]) -> int:
        total = product([self.sizes[loop] for loop in loops])
        assert isinstance(total, int)
        return total

    def _plan(self) -> tuple[ConvolutionPlan, TileConvolutionPlan | None]:
        """The blocks, and how matrix tiles compute them, if they do."""
        shape = self.kernel.shape(self.source.value)
        axes = []
        for number, place in enumerate(self.match.places):
            axis = self.source.roles.index(("window", number))
            tap = self.match.taps[number]
            size = shape[axis]
            assert isinstance(size, int)
            axes.append(
                Axis(
                    input=size,
                    output=self.sizes[place],
                    kernel=1 if tap is None else self.sizes[tap],
                    stride=self.match.strides[number],
                    dilation=self.match.dilations[number],
                    padding=self.source.padding[number],
                )
            )
        batch = product([self.sizes[loop] for loop in self.match.batch])
        channels_last = self.source.roles[-1][0] != "window"
        if self.inputs == 1 and self.outputs == 1 and self.groups > 1:
            plan = plan_depthwise(
                self.target,
                batch=batch,
                channels=self.groups,
                axes=axes,
                channels_last=channels_last,
            )
            self.kernel.decline("tiles-not-full", "tiled_convolution")
            return plan, None
        sizes: dict[str, Any] = {
            "batch": batch,
            "channels": self.groups * self.inputs,
            "features": self.groups * self.outputs,
            "axes": axes,
            "groups": self.groups,
            "channels_last": channels_last,
        }
        types = [str(v.type.element_type) for v in (self.source.value, self.filter)]
        rows = product([batch, *(axis.output for axis in axes)])
        weights = math.prod(self.filter.type.shape)
        many = tiles_pay(bounds(rows, self.kernel.ranges)[0], weights)
        needs = functools.partial(self.kernel.needs, way="tiled_convolution")
        if (
            needs(self.target.has_tiles, "no-matrix-tiles")
            and needs(all(kind in PARTS for kind in types), "other-elements")
            and needs(many, "few-rows")
        ):
            tiled = plan_tile_convolution(self.target, a=types[0], b=types[1], **sizes)
            if tiled is not None:
                return tiled.blocks, tiled
            self.kernel.decline("tiles-not-full", "tiled_convolution")
        return plan_convolution(self.target, **sizes), None

    def _packing(self) -> Packing:
        """From the filter as it lies to the plan's panels; as `pack_filter`."""
        match, plan, tiled = self.match, self.plan, self.tiled
        order = [*match.taps, *match.inputs, *match.groups, *match.outputs]
        position = {loop: axis for axis, loop in enumerate(match.filter_axes)}
        axes = [position[loop] for loop in order if loop is not None]
        kernel = [axis.kernel for axis in plan.axes]
        parts = 1 if plan.depthwise else plan.groups
        features = plan.features // parts
        width = plan.group_panels * plan.panel_columns
        panels = parts * plan.group_panels
        lie = [
            ("reshape", list(self.filter.type.shape)),
            ("transpose", axes),
        ]
        if tiled is not None:
            runs = tiled.steps // tiled.run_steps
            depth = tiled.run_steps * TILE_DEPTH
            return packing(
                [
                    *lie,
                    ("reshape", [runs, tiled.run, parts, features]),
                    ("pad", [runs, depth, parts, width]),
                    *tile_steps(tiled.steps, panels, tiled.parts_b),
                ]
            )
        flat = [*kernel, self.inputs]
        rank = len(flat)
        return packing(
            [
                *lie,
                ("reshape", [*flat, parts, features]),
                ("pad", [*flat, parts, width]),
                ("reshape", [*flat, panels, plan.panel_columns]),
                ("transpose", [rank, *range(rank), rank + 1]),
                ("reshape", list(plan.filter_shape)),
            ]
        )

    def code(self) -> KernelCode:
        plan, tiled, most = self.plan, self.tiled, self.kernel.most
        number = self.kernel.inputs.index(self.filter)
        taps = self._taps()
        points = most(product(self.kernel.shape(self.result)))
        flops = 2 * points * taps * self.inputs
        kind = ir.MemRefType.get(list(plan.filter_shape), self.filter.type.element_type)
        if tiled is not None:
            word = ir.IntegerType.get_signless(16)
            kind = ir.MemRefType.get(list(tiled.packed_shape), word)
        speed = GFLOPS if tiled is None else TILED_GFLOPS
        return build(
            self.kernel,
            self.target,
            self._emit,
            family="convolution" if tiled is None else "tiled_convolution",
            items=plan.items,
            item_ns=flops / speed / max(most(plan.items), 1),
            lanes=self.target.lanes(32),
            scratch_bytes=(tiled or plan).scratch_bytes,
            level=0,
            flops=flops,
            packings={number: self._packing()},
            packed_types={number: kind},
            setup_ns=0 if tiled is None else tiled.setup_ns,
        )

    def _taps(self) -> int:
        total = 1
        for axis in self.plan.axes:
            total *= axis.kernel
        return total

    def _emit(self, frame: Frame) -> None:
        elemental = frame.elemental
        b = Builder(
            self.target,
            ir.F32Type.get(),
            scope=elemental.scope,
            size=elemental.base,
        )

        def lanes_of(live: Any) -> Lanes:
            return Lanes(b.lanes, b.lanes if b.is_whole(live) else live)

        def along(value: Any) -> Index:
            return Index(value, 1, 1 if isinstance(value, int) else b.lanes)

        def read_x(n: Any, position: Any, c: Any, live: Any) -> Any:
            with elemental.scope():
                at = self._input_point(frame, n, position, c, along)
                return elemental.value_at(self.source.value, at, lanes_of(live))

        def finish(n: Any, position: Any, o: Any, live: Any, value: Any) -> None:
            with elemental.scope():
                at = self._output_point(frame, n, position, o, along)
                finish_outputs(frame, self.result, at, lanes_of(live), value)

        operands: dict[str, Any] = {
            "low": frame.low,
            "high": frame.high,
            "scratch": frame.scratch,
            "read_x": read_x,
            "packed_filter": frame.inputs[self.kernel.inputs.index(self.filter)],
            "finish": finish,
        }
        if self.tiled is not None:
            emit_tile_convolution(b, self.tiled, **operands)
        else:
            emit_convolution(b, self.plan, **operands)

    def _images(self, frame: Frame, n: Any) -> dict[int, Index]:
        sizes = [frame.elemental.base(self.sizes[loop]) for loop in self.match.batch]
        parts = frame.math.delinearize(Index(n), sizes)
        return dict(zip(self.match.batch, parts, strict=True))

    def _input_point(
        self, frame: Frame, n: Any, position: Any, c: Any, along: Any
    ) -> list[Index]:
        math = frame.math
        last = self.plan.channels_last
        channel = along(c) if last else Index(c)
        images = self._images(frame, n)
        spatial = list(position)
        at = []
        for kind, number in self.source.roles:
            if kind == "batch":
                at.append(images[number])
            elif kind == "window":
                where = spatial[number]
                inner = not last and number == len(spatial) - 1
                at.append(along(where) if inner else Index(where))
            elif kind == "channel" or self.groups == 1 or self.inputs == 1:
                at.append(channel)
            elif kind == "group":
                at.append(Index(math.compute("div", c, self.inputs)))
            else:
                at.append(_moved(channel, math.compute("mod", c, self.inputs)))
        return at

    def _output_point(
        self, frame: Frame, n: Any, position: Any, o: Any, along: Any
    ) -> list[Index]:
        """A panel lies within one group: lanes differ in the output channel only."""
        math = frame.math
        images = self._images(frame, n)
        feature = along(o)
        at = []
        for loop in self.match.out_axes:
            assert loop is not None
            if loop in images:
                at.append(images[loop])
            elif loop in self.match.places:
                at.append(Index(position[self.match.places.index(loop)]))
            elif self.groups == 1 or self.outputs == 1:
                at.append(feature)
            elif loop in self.match.groups:
                at.append(Index(math.compute("div", o, self.outputs)))
            else:
                at.append(_moved(feature, math.compute("mod", o, self.outputs)))
        return at


def _moved(index: Index, base: Any) -> Index:
    """The same lanes from another base."""
    return Index(base, index.stride)

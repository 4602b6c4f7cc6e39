"""Instructions among the lanes of a warp: shfl, vote, match, redux, activemask, elect.

`.sync` instructions name lanes in a mask. All named lanes that live must execute the
instruction together; who comes first stands until the others are there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ix.emulator.batch import WARP, Active, Array, Batch
from ix.emulator.errors import DivergenceError
from ix.emulator.kernel_code import KernelCode, Reader, elements_of
from ix.emulator.outcome import Hold, Outcome, Step
from ix.emulator.ptx_types import dtype_of
from ix.emulator.syntax import Instruction, Operand

__all__ = ["INSTRUCTIONS", "converge"]

_BITS = np.uint32(1) << np.arange(WARP, dtype=np.uint32)
_ALL = 0xFFFFFFFF


def converge(batch: Batch, active: Active, members: Array) -> Hold | None:
    """Waits until all lanes of the masks that live are active.

    Args:
        members: uint32 masks, (threads,) or 0-d.

    Raises:
        DivergenceError: A lane executes the instruction without being in its mask.
    """
    if active.mask is None and members.ndim == 0 and int(members) == _ALL:
        batch.race.meet_in_passing(active)
        return None
    masks = np.broadcast_to(members, (batch.threads,)).reshape(-1, WARP)
    lanes = active.by_warp
    own = (masks & _BITS) != 0
    if (lanes & ~own).any():
        raise batch.error(
            DivergenceError,
            "needs a mask that names the executing lane, but it does not; pass the "
            "mask of all lanes that come here",
            int(np.argmax((lanes & ~own).reshape(-1))),
        )
    # The mask of any active lane speaks for its warp; they must agree.
    first = masks[np.arange(len(masks)), lanes.argmax(1)]
    named = (first[:, None] & _BITS) != 0
    missing = named & np.asarray(lanes.any(1))[:, None] & ~lanes
    missing &= ~batch.scheduler.exited.reshape(-1, WARP)
    if not missing.any():
        batch.race.meet_in_passing(active)
        return None
    stand = lanes & np.asarray(missing.any(1))[:, None]
    return Hold(stand.reshape(-1), missing.reshape(-1))


def compile_shuffle(instruction: Instruction, kernel: KernelCode) -> Step:
    """Compiles shfl[.sync].{up,down,bfly,idx}.b32 d[|p], a, b, c[, members]."""
    mode = next(m for m in instruction.modifiers if m in _SOURCES)
    result, *operands = instruction.operands
    writes = elements_of(result)
    write = kernel.writer(writes[0], "b32")
    write_valid = kernel.writer(writes[1], "pred") if len(writes) > 1 else None
    value, offset, clamp = (kernel.reader(o, "b32") for o in operands[:3])
    members = _members(kernel, operands[3:])

    def step(batch: Batch, active: Active) -> Outcome | None:
        held = converge(batch, active, members(batch))
        if held is not None:
            return held
        lane = batch.lane
        steps = offset(batch).astype(np.int64) & 31
        control = clamp(batch).astype(np.int64)
        segment, limit = (control >> 8) & 31, control & 31
        source, is_valid = _SOURCES[mode](lane, steps, segment, limit)
        source = np.where(is_valid, source, lane) + (np.arange(batch.threads) - lane)
        _require_active(batch, active, source)
        values = np.broadcast_to(value(batch), (batch.threads,))
        write(batch, values[source], active)
        if write_valid is not None:
            write_valid(batch, is_valid, active)
        return None

    return step


def _require_active(batch: Batch, active: Active, source: Array) -> None:
    """Checks that every lane reads from one that executes the instruction."""
    if active.mask is None:
        return
    bad = active.mask & ~active.mask[source]
    if bad.any():
        thread = int(np.argmax(bad))
        raise batch.error(
            DivergenceError,
            f"needs to read from an active lane, but lane {int(source[thread]) % WARP} "
            "does not execute it; name it in the mask or change the source lane",
            thread,
        )


Source = Callable[[Array, Array, Array, Array], tuple[Array, Array]]


def _up(lane: Array, steps: Array, segment: Array, limit: Array) -> tuple[Array, Array]:
    source = lane - steps
    return source, source >= ((lane & segment) | (limit & ~segment))


def _down(
    lane: Array, steps: Array, segment: Array, limit: Array
) -> tuple[Array, Array]:
    source = lane + steps
    return source, source <= ((lane & segment) | (limit & ~segment))


def _butterfly(
    lane: Array, steps: Array, segment: Array, limit: Array
) -> tuple[Array, Array]:
    source = lane ^ steps
    return source, source <= ((lane & segment) | (limit & ~segment))


def _index(
    lane: Array, steps: Array, segment: Array, limit: Array
) -> tuple[Array, Array]:
    source = (lane & segment) | (steps & ~segment)
    return source, source <= ((lane & segment) | (limit & ~segment))


_SOURCES: dict[str, Source] = {
    "up": _up,
    "down": _down,
    "bfly": _butterfly,
    "idx": _index,
}


def _members(kernel: KernelCode, operands: list[Operand]) -> Reader:
    """The reader of the member mask; all lanes where the instruction has none."""
    if operands:
        return kernel.reader(operands[0], "b32")
    everyone = np.asarray(_ALL, np.uint32)
    return lambda batch: everyone


def _by_warp(batch: Batch, read: Reader) -> Array:
    """What the lanes of each warp hold, (warps, 32)."""
    return np.broadcast_to(read(batch), (batch.threads,)).reshape(-1, WARP)


def _ballot(values: Array, lanes: Array) -> Array:
    """The lanes of each warp whose value is true, as (warps,) of uint32."""
    chosen = values.reshape(-1, WARP) & lanes
    return np.asarray(np.where(chosen, _BITS, np.uint32(0)).sum(1, dtype=np.uint32))


def _all(values: Array, lanes: Array) -> Array:
    return np.asarray((values | ~lanes).all(1))


def _any(values: Array, lanes: Array) -> Array:
    return np.asarray((values & lanes).any(1))


def _uniform(values: Array, lanes: Array) -> Array:
    return _all(values, lanes) | ~_any(values, lanes)


_VOTES: dict[str, Callable[[Array, Array], Array]] = {
    "all": _all,
    "any": _any,
    "uni": _uniform,
    "ballot": _ballot,
}


def compile_vote(instruction: Instruction, kernel: KernelCode) -> Step:
    """Compiles vote[.sync].{all,any,uni,ballot} d, predicate[, members]."""
    mode = next(m for m in instruction.modifiers if m in _VOTES)
    result, source, *rest = instruction.operands
    write = kernel.writer(result, "b32" if mode == "ballot" else "pred")
    read, members = kernel.reader(source, "pred"), _members(kernel, rest)

    def step(batch: Batch, active: Active) -> Outcome | None:
        held = converge(batch, active, members(batch))
        if held is not None:
            return held
        lanes = active.by_warp
        values = _by_warp(batch, read)
        found = _VOTES[mode](values, lanes)
        write(batch, np.repeat(found, WARP), active)
        return None

    return step


def compile_match(instruction: Instruction, kernel: KernelCode) -> Step:
    """Compiles match.{any,all}.sync.b{32,64} d[|p], a, members."""
    result, source, *rest = instruction.operands
    results = elements_of(result)
    write = kernel.writer(results[0], "b32")
    write_all = kernel.writer(results[1], "pred") if len(results) > 1 else None
    read, members = kernel.reader(source, instruction.type), _members(kernel, rest)
    is_all = instruction.has("all")

    def step(batch: Batch, active: Active) -> Outcome | None:
        held = converge(batch, active, members(batch))
        if held is not None:
            return held
        lanes = active.by_warp
        values = _by_warp(batch, read)
        equal = (values[:, :, None] == values[:, None, :]) & lanes[:, None, :]
        found = np.where(equal, _BITS, np.uint32(0)).sum(2, dtype=np.uint32)
        if is_all:
            everyone = _ballot(lanes, lanes)[:, None]
            agreed = ((found == everyone) | ~lanes).all(1)
            found = np.where(agreed[:, None], everyone, np.uint32(0)) + np.zeros_like(
                found
            )
            if write_all is not None:
                write_all(batch, np.repeat(agreed, WARP), active)
        write(batch, found.reshape(-1), active)
        return None

    return step


def compile_redux(instruction: Instruction, kernel: KernelCode) -> Step:
    """Compiles redux.sync.{add,min,max,and,or,xor}.{u32,s32,b32,f32} d, a, members."""
    mode = next(m for m in instruction.modifiers if m in _REDUCTIONS)
    result, source, *rest = instruction.operands
    type_name = instruction.type
    write, read = kernel.writer(result, type_name), kernel.reader(source, type_name)
    members = _members(kernel, rest)
    function, neutral = _REDUCTIONS[mode]
    dtype = dtype_of(type_name)
    fill = np.asarray(neutral(dtype), dtype)
    absolute = instruction.has("abs")
    if dtype.kind == "f" and not instruction.has("NaN"):
        # Without .NaN, a NaN counts only where all are NaN.
        function, fill = _IGNORING_NAN[mode], np.asarray(np.nan, dtype)

    def step(batch: Batch, active: Active) -> Outcome | None:
        held = converge(batch, active, members(batch))
        if held is not None:
            return held
        values = _by_warp(batch, read)
        values = np.abs(values) if absolute else values
        chosen = np.where(active.by_warp, values, fill)
        found = function.reduce(chosen, axis=1, dtype=dtype)
        write(batch, np.repeat(found, WARP), active)
        return None

    return step


def _bound(dtype: np.dtype[Any], is_highest: bool) -> Any:
    """The highest or lowest value of a type."""
    if dtype.kind == "f":
        return np.inf if is_highest else -np.inf
    return np.iinfo(dtype).max if is_highest else np.iinfo(dtype).min


# The function, and the value of a lane that does not take part.
_REDUCTIONS: dict[str, tuple[np.ufunc, Callable[[np.dtype[Any]], Any]]] = {
    "add": (np.add, lambda dtype: 0),
    "min": (np.minimum, lambda dtype: _bound(dtype, True)),
    "max": (np.maximum, lambda dtype: _bound(dtype, False)),
    "and": (np.bitwise_and, lambda dtype: np.invert(dtype.type(0))),
    "or": (np.bitwise_or, lambda dtype: 0),
    "xor": (np.bitwise_xor, lambda dtype: 0),
}


_IGNORING_NAN = {"min": np.fmin, "max": np.fmax}


def compile_activemask(instruction: Instruction, kernel: KernelCode) -> Step:
    """Compiles `activemask.b32`: the lanes that execute it together."""
    write = kernel.writer(instruction.operands[0], "b32")

    def step(batch: Batch, active: Active) -> None:
        lanes = active.by_warp
        write(batch, np.repeat(_ballot(lanes, lanes), WARP), active)

    return step


def compile_elect(instruction: Instruction, kernel: KernelCode) -> Step:
    """Compiles `elect.sync d|p, members`: true for the lowest member lane alone."""
    result, mask = instruction.operands
    results = elements_of(result)
    write = kernel.writer(results[0], "b32")
    write_elected = kernel.writer(results[1], "pred")
    members = kernel.reader(mask, "b32")

    def step(batch: Batch, active: Active) -> Outcome | None:
        held = converge(batch, active, members(batch))
        if held is not None:
            return held
        leader = np.repeat(active.by_warp.argmax(1), WARP)
        write(batch, leader.astype(np.uint32), active)
        write_elected(batch, batch.lane == leader, active)
        return None

    return step


INSTRUCTIONS = {
    "shfl": compile_shuffle,
    "vote": compile_vote,
    "match": compile_match,
    "redux": compile_redux,
    "activemask": compile_activemask,
    "elect": compile_elect,
}

"""The special registers: `%tid.x`, `%laneid`, `%clock64`, ...

Source: PTX ISA, "Special Registers".
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ix.emulator.batch import WARP, Array, Batch
from ix.emulator.errors import UnsupportedInstruction

__all__ = ["cluster_rank", "special_register"]

_AXES = {"x": 0, "y": 1, "z": 2}


def special_register(name: str, dtype: np.dtype[Any]) -> Callable[[Batch], Array]:
    """Compiles the reading of a special register as a type."""
    base = name.lstrip("%")
    if base in _CLOCKS:
        read = _CLOCKS[base]
        return lambda batch: read(batch).astype(dtype)
    compute = _VALUES.get(base)
    if compute is None:
        head, _, axis = base.partition(".")
        of_axis = _BY_AXIS.get(head)
        if of_axis is None or axis not in _AXES:
            raise UnsupportedInstruction(
                f"'{name}' needs to be a register that is declared or special, but it "
                "is neither; declare it with .reg"
            )
        index, function = _AXES[axis], of_axis

        def compute(batch: Batch) -> Array:
            return function(batch, index)

    key = f"{name} {dtype}"
    value = compute

    def read_cached(batch: Batch) -> Array:
        found = batch.special.get(key)
        if found is None:
            found = np.asarray(value(batch)).astype(dtype)[()]
            batch.special[key] = found
        return found

    return read_cached


def _thread(batch: Batch) -> Array:
    """The linear index of each thread in its CTA."""
    return np.tile(np.arange(batch.cta_threads), batch.ctas)


def _unfold(index: Array, shape: tuple[int, int, int], axis: int) -> Array:
    return np.asarray(index // int(np.prod(shape[:axis])) % shape[axis])


def _tid(batch: Batch, axis: int) -> Array:
    of_cta = _unfold(np.arange(batch.cta_threads), batch.launch.block, axis)
    return np.tile(of_cta, batch.ctas)


def _ctaid(batch: Batch, axis: int) -> Array:
    return np.repeat(_unfold(batch.cta_ids, batch.launch.grid, axis), batch.cta_threads)


def _ctaid_in_cluster(batch: Batch, axis: int) -> Array:
    return _ctaid(batch, axis) % batch.launch.cluster[axis]


def _cluster_id(batch: Batch, axis: int) -> Array:
    return _ctaid(batch, axis) // batch.launch.cluster[axis]


def cluster_rank(batch: Batch) -> Array:
    """The rank of each thread's CTA in its cluster, x fastest."""
    x, y, _ = batch.launch.cluster
    at = [_ctaid_in_cluster(batch, axis) for axis in range(3)]
    return np.asarray(at[0] + x * (at[1] + y * at[2]))


def _size(of: str) -> Callable[[Batch, int], Array]:
    def read(batch: Batch, axis: int) -> Array:
        return np.asarray(getattr(batch.launch, of)[axis])

    return read


def _cluster_grid(batch: Batch, axis: int) -> Array:
    return np.asarray(batch.launch.grid[axis] // batch.launch.cluster[axis])


_BY_AXIS: dict[str, Callable[[Batch, int], Array]] = {
    "tid": _tid,
    "ntid": _size("block"),
    "ctaid": _ctaid,
    "nctaid": _size("grid"),
    "clusterid": _cluster_id,
    "nclusterid": _cluster_grid,
    "cluster_ctaid": _ctaid_in_cluster,
    "cluster_nctaid": _size("cluster"),
}


def _lane_mask(compare: Callable[[Array, Array], Array]) -> Callable[[Batch], Array]:
    """Masks of the lanes that compare with the own lane, `compare(other, own)`."""
    lanes = np.arange(WARP)
    bits = compare(lanes[None, :], lanes[:, None]) * (1 << lanes.astype(np.int64))
    masks = bits.sum(1)
    return lambda batch: masks[batch.lane]


def _constant(value: int) -> Callable[[Batch], Array]:
    return lambda batch: np.asarray(value)


def _ticks(batch: Batch) -> Array:
    """A clock that counts the steps of the batch."""
    return np.asarray(batch.scheduler.steps, np.uint64)


_CLOCKS: dict[str, Callable[[Batch], Array]] = {
    "clock": _ticks,
    "clock64": _ticks,
    "clock_hi": lambda batch: _ticks(batch) >> np.uint64(32),
    "globaltimer": _ticks,
    "globaltimer_lo": _ticks,
    "globaltimer_hi": lambda batch: _ticks(batch) >> np.uint64(32),
}

_VALUES: dict[str, Callable[[Batch], Array]] = {
    "laneid": lambda batch: batch.lane,
    "warpid": lambda batch: _thread(batch) // WARP,
    "nwarpid": lambda batch: np.asarray(batch.cta_warps),
    "smid": lambda batch: batch.cta,
    "nsmid": lambda batch: np.asarray(batch.ctas),
    "gridid": _constant(1),
    "is_explicit_cluster": lambda batch: np.asarray(batch.cluster_ctas > 1),
    "cluster_ctarank": cluster_rank,
    "cluster_nctarank": lambda batch: np.asarray(batch.cluster_ctas),
    "lanemask_eq": _lane_mask(np.equal),
    "lanemask_lt": _lane_mask(np.less),
    "lanemask_le": _lane_mask(np.less_equal),
    "lanemask_gt": _lane_mask(np.greater),
    "lanemask_ge": _lane_mask(np.greater_equal),
    "dynamic_smem_size": lambda batch: np.asarray(batch.launch.dynamic_bytes),
    "total_smem_size": lambda batch: np.asarray(batch.launch.shared_bytes),
    "aggr_smem_size": lambda batch: np.asarray(batch.launch.shared_bytes),
    "WARP_SZ": _constant(WARP),
    **{f"envreg{i}": _constant(0) for i in range(32)},
    **{f"pm{i}": _constant(0) for i in range(8)},
}

"""What a kernel costs: instructions, sectors, wavefronts, bytes, operations.

Sectors are the distinct 32-byte pieces that a warp's request touches in global memory.
Wavefronts are the passes that shared memory needs for a request: 32 banks of 4 bytes,
each of which gives one word a pass. Accesses of 8 bytes go by half warps, those of 16
bytes by quarter warps. Caches are not modelled.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from ix.emulator.access import Access, Pattern
from ix.emulator.batch import WARP, Array
from ix.emulator.instruction_classes import CLASSES, class_of, flops_of
from ix.emulator.layout import GLOBAL_BASE

if TYPE_CHECKING:
    from ix.emulator.kernel_code import KernelCode

__all__ = ["NAMES", "Counter", "Counters", "Line", "sectors", "wavefronts"]

SECTOR = 32  # bytes
_WORD = 4  # bytes of a bank

NAMES = (
    "warp_instructions",
    "thread_instructions",
    "flops",
    "tensor_operations",
    "tensor_flops",
    "global_load_requests",
    "global_load_sectors",
    "global_load_bytes",
    "global_store_requests",
    "global_store_sectors",
    "global_store_bytes",
    "global_atomic_requests",
    "global_atomic_sectors",
    "global_atomic_bytes",
    "shared_load_requests",
    "shared_load_wavefronts",
    "shared_load_conflicts",
    "shared_load_bytes",
    "shared_store_requests",
    "shared_store_wavefronts",
    "shared_store_conflicts",
    "shared_store_bytes",
    "shared_atomic_requests",
    "shared_atomic_wavefronts",
    "shared_atomic_conflicts",
    "shared_atomic_bytes",
    "local_load_bytes",
    "local_store_bytes",
    "async_copy_bytes",
    "bulk_copies",
    "bulk_copy_bytes",
    "atomics",
    "barriers",
    "mbarrier_arrivals",
    "mbarrier_waits",
    "divergent_branches",
)
_VERBS = {"read": "load", "write": "store", "atomic": "atomic"}


@dataclass(frozen=True, slots=True)
class Line:
    """What one PTX instruction cost; `amounts` by counter name, without zeros."""

    line: int
    text: str
    source: str
    amounts: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Counters:
    """What a launch cost.

    totals:   amount by counter name, in the order of NAMES
    classes:  warp instructions by class (float, integer, memory, ...)
    lines:    the instructions that ran, in the order of the text
    """

    kernel: str
    totals: dict[str, int]
    classes: dict[str, int]
    lines: list[Line] = field(default_factory=list)

    def __getitem__(self, name: str) -> int:
        return self.totals[name]

    @property
    def global_sectors(self) -> int:
        """Sectors of all loads and stores of global memory."""
        return self["global_load_sectors"] + self["global_store_sectors"]

    @property
    def ideal_global_sectors(self) -> int:
        """The sectors that the same bytes would need if each were used whole."""
        moved = self["global_load_bytes"] + self["global_store_bytes"]
        return -(-moved // SECTOR)

    @property
    def shared_conflicts(self) -> int:
        """Wavefronts beyond the first of each phase, by bank conflicts."""
        return self["shared_load_conflicts"] + self["shared_store_conflicts"]

    def as_dict(self) -> dict[str, int]:
        """All totals, then the classes, in an order that never changes."""
        return {
            **self.totals,
            **{f"instructions_{name}": n for name, n in self.classes.items()},
        }


class Counter:
    """Counts while a kernel runs.

    Attributes:
        warps: For each instruction, how often a warp executed it.
        threads: For each instruction, how often a thread executed it.
        is_counting: Whether memory accesses are analysed.
    """

    def __init__(self, kernel: KernelCode, is_counting: bool = True) -> None:
        self.kernel = kernel
        self.is_counting = is_counting
        self.warps = [0] * len(kernel.code)
        self.threads = [0] * len(kernel.code)
        self.amounts: dict[int, dict[str, int]] = defaultdict(lambda: defaultdict(int))
        self._patterns: dict[tuple[int, int], Pattern] = {}

    def add(self, pc: int, name: str, amount: int) -> None:
        """Adds to a counter of NAMES, on account of an instruction (batch.pc)."""
        self.amounts[pc][name] += amount

    def access(self, pc: int, access: Access) -> None:
        """Counts an access by the threads of some warps."""
        if not self.is_counting:
            return
        amounts = self.amounts[pc]
        prefix = f"{access.space}_{_VERBS[access.kind]}_"
        amounts[prefix + "bytes"] += access.size * len(access.addresses)
        if access.space == "global":
            requests, count = sectors(access)
            amounts[prefix + "requests"] += requests
            amounts[prefix + "sectors"] += count
        elif access.space == "shared":
            requests, phases, count = self._wavefronts(pc, access)
            amounts[prefix + "requests"] += requests
            amounts[prefix + "wavefronts"] += count
            amounts[prefix + "conflicts"] += count - phases

    def _wavefronts(self, pc: int, access: Access) -> tuple[int, int, int]:
        """As `wavefronts`; a pattern that comes again is not analysed again.

        Moving all addresses by whole words turns the banks round, no more.
        """
        if not len(access.addresses) or access.size < _WORD:
            return wavefronts(access)
        offsets = access.addresses - access.addresses[0]
        known = self._patterns.get((pc, access.size))
        if known is None or not known.fits(offsets, access.threads):
            known = Pattern(offsets, access.threads, wavefronts(access))
            self._patterns[pc, access.size] = known
        found: tuple[int, int, int] = known.found
        return found

    def result(self) -> Counters:
        """The counters of everything that ran so far."""
        totals = dict.fromkeys(NAMES, 0)
        classes = dict.fromkeys(CLASSES, 0)
        lines: list[Line] = []
        for pc, compiled in enumerate(self.kernel.code):
            executed = self.warps[pc]
            if not executed:
                continue
            instruction = compiled.instruction
            amounts = {
                "warp_instructions": executed,
                "thread_instructions": self.threads[pc],
                "flops": self.threads[pc] * flops_of(instruction),
                **self.amounts.get(pc, {}),
            }
            classes[class_of(instruction)] += executed
            for name, amount in amounts.items():
                totals[name] += amount
            kept = {name: amounts[name] for name in NAMES if amounts.get(name)}
            source = str(instruction.location or "")
            lines.append(Line(instruction.line, instruction.text, source, kept))
        return Counters(self.kernel.name, totals, classes, lines)


def sectors(access: Access) -> tuple[int, int]:
    """Requests (warps) and sectors of an access of global memory."""
    if not len(access.addresses):
        return 0, 0
    warps = access.threads >> 5
    lines = (access.addresses - np.uint64(GLOBAL_BASE)).view(np.int64) >> 5
    # A warp's number above the bits of a sector's: both are counted by one sort.
    keys = lines + (warps << 42)
    steps = np.diff(keys)
    if steps.size and int(steps.min()) < 0:
        keys.sort()
        steps = np.diff(keys)
    count = 1 + int(np.count_nonzero(steps))
    requests = 1 + int(np.count_nonzero(np.diff(warps)))
    extra = max(access.size // SECTOR - 1, 0) * len(access.addresses)
    return requests, count + extra


def wavefronts(access: Access) -> tuple[int, int, int]:
    """Requests (warps), phases without conflicts, and wavefronts of a shared access."""
    n = len(access.addresses)
    if not n:
        return 0, 0, 0
    requests = 1 + int(np.count_nonzero(np.diff(access.threads >> 5)))
    lanes = {8: 16, 16: 8}.get(access.size, WARP if access.size <= 4 else 4)
    group = access.threads // lanes
    words = access.addresses.view(np.int64) >> 2
    steps = np.diff(group)
    phases = 1 + int(np.count_nonzero(steps))
    if access.size == 4 and _is_linear(words, steps):
        return requests, phases, phases
    per_access = max(access.size // 4, 1)
    if per_access > 1:
        words = (words[:, None] + np.arange(per_access)).reshape(-1)
        group = np.repeat(group, per_access)
    return requests, phases, _count_wavefronts(group, words)


def _is_linear(words: Array, group_steps: Array) -> bool:
    """Whether neighbours within each phase read neighbouring words."""
    return bool(((np.diff(words) == 1) | (group_steps != 0)).all())


def _count_wavefronts(group: Array, words: Array) -> int:
    """The sum over groups of the most distinct words that one bank must give."""
    first = int(group[0])
    if int(group.min()) < first:
        first = int(group.min())
    keys = np.sort(((group - first) << 32) | words)
    distinct = keys[np.concatenate(([True], keys[1:] != keys[:-1]))]
    at = (distinct >> 32) * WARP + (distinct & (WARP - 1))
    depth = np.bincount(at)
    padded = np.zeros(-(-len(depth) // WARP) * WARP, np.int64)
    padded[: len(depth)] = depth
    return int(padded.reshape(-1, WARP).max(1).sum())

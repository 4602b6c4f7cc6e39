"""What a step sees while it runs: the threads of a batch of CTAs, and which are active.

A batch is a number of whole clusters of CTAs that run together. Threads are numbered
through the batch: CTA by CTA, each padded to whole warps; the padding counts as exited.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from ix.emulator.errors import KernelFault

if TYPE_CHECKING:
    from ix.emulator.counters import Counter
    from ix.emulator.kernel_code import KernelCode
    from ix.emulator.memory import Memory
    from ix.emulator.race import RaceDetector
    from ix.emulator.scheduler import Scheduler
    from ix.emulator.syntax import Instruction

__all__ = ["WARP", "Active", "Array", "Batch", "Launch", "shorten"]

WARP = 32  # threads
_LONGEST = 100  # characters of an instruction in a message
Array = np.ndarray[Any, np.dtype[Any]]
Fault = TypeVar("Fault", bound=KernelFault)
Extension = TypeVar("Extension")


@dataclass(frozen=True, slots=True)
class Launch:
    """One launch; sizes as (x, y, z).

    shared_bytes:      static and dynamic, of one CTA
    parameters:        the bytes of all parameters
    parameter_address: where they lie in generic memory
    """

    grid: tuple[int, int, int]
    block: tuple[int, int, int]
    cluster: tuple[int, int, int]
    shared_bytes: int
    dynamic_bytes: int
    parameters: Array
    parameter_address: int

    @property
    def block_threads(self) -> int:
        """Threads of a CTA."""
        return self.block[0] * self.block[1] * self.block[2]

    @property
    def cluster_ctas(self) -> int:
        """CTAs of a cluster."""
        return self.cluster[0] * self.cluster[1] * self.cluster[2]


class Active:
    """The threads that execute a step.

    Attributes:
        mask: bool over the threads; None where every thread of the batch is active.
        write_mask: The mask that register writes need: None where all threads that have
            not exited are active (registers of exited threads do not matter).
        count: How many threads are active.
        whole: Sizes of groups, in threads, that are known to be active as a whole.
    """

    def __init__(
        self, threads: int, mask: Array | None, count: int, is_all_live: bool
    ) -> None:
        self.threads = threads
        self.mask = mask
        self.count = count
        self.write_mask = None if is_all_live else mask
        self.whole: set[int] = set()

    @cached_property
    def full_mask(self) -> Array:
        """The mask, also where all threads are active."""
        return np.ones(self.threads, np.bool_) if self.mask is None else self.mask

    @cached_property
    def lanes(self) -> Array:
        """The indices of the active threads in the batch, rising."""
        return np.flatnonzero(self.full_mask)

    @cached_property
    def by_warp(self) -> Array:
        """The mask as (warps of the batch, 32)."""
        return self.full_mask.reshape(-1, WARP)

    @cached_property
    def warp_mask(self) -> Array:
        """bool over the warps of the batch: whether any thread of it is active."""
        return np.asarray(self.by_warp.any(1))

    @cached_property
    def warps(self) -> Array:
        """The indices of the warps with active threads, rising."""
        return np.flatnonzero(self.warp_mask)

    @cached_property
    def warp_count(self) -> int:
        """How many warps have active threads."""
        if self.mask is None:
            return self.threads // WARP
        return int(np.count_nonzero(self.warp_mask))

    def select(self, values: Array) -> Array:
        """The values of the active threads, (count,); values as (threads,) or 0-d."""
        if values.ndim == 0:
            return np.broadcast_to(values, (self.count,))
        return values if self.mask is None else values[self.lanes]

    def groups(self, threads: int) -> Array:
        """Indices of the aligned groups of so many threads that have active ones."""
        return np.flatnonzero(self.full_mask.reshape(-1, threads).any(1))


@dataclass(slots=True)
class Batch:
    """The running state of a batch of CTAs.

    Attributes:
        threads: Threads with padding; a multiple of 32 · ctas.
        ctas: CTAs of the batch.
        cta_ids: Linear index in the grid of each CTA of the batch.
        cta: CTA index in the batch of each thread.
        registers: One array over the threads, or a 0-d value that all threads share,
            per register; never changed in place.
        pc: Index of the instruction that runs.
        extensions: State of instruction families; see `extension`.
    """

    kernel: KernelCode
    launch: Launch
    threads: int
    ctas: int
    cta_ids: Array
    registers: list[Array]
    memory: Memory
    counter: Counter
    race: RaceDetector
    completion: str
    exact: bool
    timeouts: bool
    scheduler: Scheduler = field(init=False)
    pc: int = 0
    cta: Array = field(init=False)
    lane: Array = field(init=False)
    special: dict[str, Array] = field(default_factory=dict)
    extensions: dict[Any, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.cta = np.repeat(np.arange(self.ctas), self.cta_threads)
        self.lane = np.tile(np.arange(WARP), self.threads // WARP)

    def extension(self, kind: Callable[[Batch], Extension]) -> Extension:
        """The state of an instruction family, made of the batch the first time."""
        found: Extension | None = self.extensions.get(kind)
        if found is None:
            found = self.extensions[kind] = kind(self)
        return found

    @property
    def cta_threads(self) -> int:
        """Threads of one CTA with padding, a multiple of 32."""
        return self.threads // self.ctas

    @property
    def cta_warps(self) -> int:
        """Warps of one CTA."""
        return self.cta_threads // WARP

    @property
    def cluster_ctas(self) -> int:
        """CTAs of one cluster."""
        return self.launch.cluster_ctas

    @property
    def instruction(self) -> Instruction:
        """The instruction that runs."""
        return self.kernel.code[self.pc].instruction

    def thread_name(self, thread: int) -> str:
        """Names a thread of the batch as `thread (x, y, z) of CTA (x, y, z)`."""
        launch = self.launch
        tid = thread % self.cta_threads
        cta = int(self.cta_ids[thread // self.cta_threads])
        return f"thread {_unfold(tid, launch.block)} of CTA {_unfold(cta, launch.grid)}"

    def error(
        self,
        kind: type[Fault],
        message: str,
        thread: int | None = None,
        instruction: Instruction | None = None,
    ) -> Fault:
        """Makes a fault that names kernel, line, thread and source.

        Args:
            kind: The class of the fault.
            message: `needs <requirement>, but <fact>; <remedy>`.
            thread: Index in the batch of the thread at fault.
            instruction: What is at fault; the running instruction if None.
        """
        at = self.instruction if instruction is None else instruction
        place = [
            f"kernel '{self.kernel.name}', PTX line {at.line} `{shorten(at.text)}`"
        ]
        if thread is not None:
            place.append(self.thread_name(int(thread)))
        if at.location is not None:
            place.append(f"from {at.location}")
        fault = kind(f"{', '.join(place)}: '{at.name}' {message}")
        fault.kernel, fault.line = self.kernel.name, at.line
        return fault


def shorten(text: str) -> str:
    """An instruction as a message names it: not its 128 registers."""
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def _unfold(index: int, shape: tuple[int, int, int]) -> tuple[int, int, int]:
    """The (x, y, z) of a linear index, x fastest."""
    x, y, _ = shape
    return index % x, index // x % y, index // (x * y)

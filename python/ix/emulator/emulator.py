"""The emulator as a device: memory, modules and launches.

emulator = Emulator("sm_90a")
x = emulator.alloc(4 * n)
emulator.write(x, numpy_array)
module = emulator.load(ptx_text)
counters = emulator.launch(module, "kernel", grid, block, [pointer_bytes, ...])
emulator.read(x, np.float32, n)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from ix.emulator.batch import WARP, Array, Batch, Launch
from ix.emulator.counters import Counter, Counters
from ix.emulator.errors import LaunchError
from ix.emulator.heap import PARAMETERS, Heap
from ix.emulator.kernel_code import KernelCode
from ix.emulator.launch_checks import check_launch, check_target, sm_of
from ix.emulator.layout import align_up, bytes_of_variable
from ix.emulator.link import link
from ix.emulator.memory import Memory
from ix.emulator.module_variables import allocate_variables
from ix.emulator.parser import parse_module
from ix.emulator.race import RaceDetector
from ix.emulator.scheduler import Scheduler
from ix.emulator.syntax import Module

if TYPE_CHECKING:
    from numpy.typing import DTypeLike

__all__ = ["Emulator", "LoadedModule"]

_BATCH_THREADS = 8192


@dataclass(slots=True)
class LoadedModule:
    """A module whose variables lie in global memory.

    Attributes:
        kernels: The names of its entries, in the order of the text.
    """

    module: Module
    addresses: dict[str, int]
    compiled: dict[str, KernelCode] = field(default_factory=dict)

    @property
    def kernels(self) -> list[str]:
        """The names of the entries."""
        return [function.name for function in self.module.entries()]


class Emulator:
    """A device that runs PTX in NumPy.

    Args:
        target: What the emulated device is, such as "sm_80" or "sm_90a".
        races: Whether unordered accesses are reported.
        strict: Whether faults are reported that today's hardware is known to forgive:
            a barrier without fence.proxy.async between ordinary stores and asynchronous
            reads, the wgmma.wait_group of one warp standing for its warpgroup, and
            arrivals at a CTA of the cluster that has ended.
        schedule: "lockstep", or the seed of a random order of the warps.
        completion: When asynchronous copies and tensor-core operations take effect:
            "late" (when somebody waits for them) or "early" (at once).
        exact: Whether tensor cores compute as the hardware does, bit by bit.
        timeouts: Whether an mbarrier.try_wait that has to wait gives false once, as if
            its time were over, before it waits.
        counters: Whether memory accesses are analysed for sectors and conflicts.
        step_limit: Steps after which a batch of CTAs counts as stuck.
        batch_threads: How many threads run together; CTAs that wait for one another
            must be in the same batch.
    """

    def __init__(
        self,
        target: str = "sm_90a",
        *,
        races: bool = True,
        strict: bool = True,
        schedule: str | int = "lockstep",
        completion: str = "late",
        exact: bool = False,
        timeouts: bool = False,
        counters: bool = True,
        step_limit: int = 20_000_000,
        batch_threads: int = _BATCH_THREADS,
    ) -> None:
        if completion not in ("late", "early"):
            raise LaunchError(
                f"'Emulator' needs completion 'late' or 'early', but it is "
                f"{completion!r}; pass one of them"
            )
        if isinstance(schedule, str) and schedule != "lockstep":
            raise LaunchError(
                f"'Emulator' needs the schedule 'lockstep' or a seed, but it is "
                f"{schedule!r}; pass one of them"
            )
        sm_of(target)
        self.target = target
        self.races = races
        self.strict = strict
        self.seed = None if isinstance(schedule, str) else schedule
        self.completion = completion
        self.exact = exact
        self.timeouts = timeouts
        self.counters = counters
        self.step_limit = step_limit
        self.batch_threads = batch_threads
        self.heap = Heap()

    # Memory

    def alloc(self, nbytes: int) -> int:
        """Allocates global memory, poisoned and uninitialised; gives its address."""
        return self.heap.allocate(nbytes).start

    def free(self, address: int) -> None:
        """Frees what alloc gave."""
        self.heap.free(address)

    def write(self, address: int, array: Array) -> None:
        """Copies an array to global memory, in row-major order."""
        self.heap.write(address, np.ascontiguousarray(array).reshape(-1).view(np.uint8))

    def read(self, address: int, dtype: DTypeLike, count: int) -> Array:
        """Copies `count` elements from global memory; poison where never written."""
        kind = np.dtype(dtype)
        return self.heap.read(address, kind.itemsize * count).view(kind)

    def memory_initialised(self, address: int, nbytes: int) -> bool:
        """Whether every byte of a range of global memory was written."""
        return self.heap.is_initialised(address, nbytes)

    # Modules

    def load(self, ptx_text: str) -> LoadedModule:
        """Parses a module and places its variables in global memory.

        Raises:
            PtxSyntaxError: The text cannot be parsed.
            LaunchError: It is for another device.
        """
        module = parse_module(ptx_text)
        check_target(module.target, self.target)
        return LoadedModule(module, allocate_variables(self.heap, module))

    def compile(self, module: LoadedModule, name: str) -> KernelCode:
        """Links and compiles an entry; once for each module.

        Raises:
            LaunchError: The module has no such entry.
            UnsupportedInstruction: An instruction is not emulated.
        """
        found = module.compiled.get(name)
        if found is None:
            entry = module.module.functions.get(name)
            if entry is None or not entry.is_entry:
                raise LaunchError(
                    f"'launch' needs an entry of the module, but {name!r} is none; "
                    f"pass one of {', '.join(module.kernels)}"
                )
            found = link(module.module, entry, module.addresses, self.target)
            module.compiled[name] = found
        return found

    # Launches

    def launch(
        self,
        module: LoadedModule,
        name: str,
        grid: Sequence[int] | int,
        block: Sequence[int] | int,
        args: Sequence[bytes],
        shared_bytes: int = 0,
        cluster: Sequence[int] = (1, 1, 1),
    ) -> Counters:
        """Runs a kernel to its end.

        Args:
            module: The module that has the kernel.
            name: The entry.
            grid: CTAs along x, y, z.
            block: Threads of a CTA along x, y, z.
            args: The bytes of each parameter, little-endian, as cuLaunchKernel takes
                them.
            shared_bytes: Dynamic shared memory of a CTA.
            cluster: CTAs of a cluster along x, y, z.

        Raises:
            LaunchError: The sizes or arguments do not fit the kernel.
            KernelFault: What the kernel did wrong.
        """
        kernel = self.compile(module, name)
        shape = [_triple(size) for size in (grid, block, cluster)]
        parameters = _pack(kernel, args)
        shared = kernel.layout.shared_bytes + shared_bytes
        allocation = self.heap.allocate(max(len(parameters), 1), PARAMETERS)
        launch = Launch(
            shape[0],
            shape[1],
            shape[2],
            shared,
            shared_bytes,
            parameters,
            allocation.start,
        )
        try:
            check_launch(kernel, launch, self.target)
            if len(parameters):
                self.heap.write(allocation.start, parameters)
            allocation.is_writable = False
            self.heap.note_written()
            return self._run(kernel, launch)
        finally:
            self.heap.free(allocation.start)

    def _run(self, kernel: KernelCode, launch: Launch) -> Counters:
        """Runs all CTAs, batch by batch, whole clusters together."""
        counter = Counter(kernel, self.counters)
        race = RaceDetector(kernel, self.races, self.strict)
        order = _cluster_order(launch)
        threads = align_up(launch.block_threads, WARP)
        per_cluster = launch.cluster_ctas
        clusters = max(1, self.batch_threads // (threads * per_cluster))
        for i in range(0, len(order), clusters * per_cluster):
            ids = order[i : i + clusters * per_cluster]
            batch = self._batch(kernel, launch, ids, threads, counter, race)
            race.begin(batch, i)
            batch.scheduler.run()
        return counter.result()

    def _batch(
        self,
        kernel: KernelCode,
        launch: Launch,
        cta_ids: Array,
        cta_threads: int,
        counter: Counter,
        race: RaceDetector,
    ) -> Batch:
        """Makes the state of a batch of CTAs before their first instruction."""
        ctas = len(cta_ids)
        threads = ctas * cta_threads
        memory = Memory(
            self.heap, ctas, threads, launch.shared_bytes, kernel.layout.local_bytes
        )
        batch = Batch(
            kernel=kernel,
            launch=launch,
            threads=threads,
            ctas=ctas,
            cta_ids=cta_ids,
            registers=list(kernel.poison),
            memory=memory,
            counter=counter,
            race=race,
            completion=self.completion,
            exact=self.exact,
            timeouts=self.timeouts,
        )
        memory.batch = batch
        seed = None if self.seed is None else self.seed + int(cta_ids[0])
        start = kernel.starts[kernel.name]
        batch.scheduler = Scheduler(batch, start, seed, self.step_limit)
        return batch


def _triple(size: Sequence[int] | int) -> tuple[int, int, int]:
    whole = (size,) if isinstance(size, int) else tuple(size)
    x, y, z = (*whole, 1, 1, 1)[:3]
    return int(x), int(y), int(z)


def _cluster_order(launch: Launch) -> Array:
    """The linear indices of all CTAs, cluster by cluster, by rank within each."""
    gx, gy, gz = launch.grid
    cx, cy, cz = launch.cluster
    index = np.arange(gx * gy * gz).reshape(gz // cz, cz, gy // cy, cy, gx // cx, cx)
    return np.asarray(index.transpose(0, 2, 4, 1, 3, 5).reshape(-1))


def _pack(kernel: KernelCode, args: Sequence[bytes]) -> Array:
    """The bytes of all parameters, each at its place.

    Raises:
        LaunchError: The number or a size does not fit.
    """
    entry = kernel.entry
    if len(args) != len(entry.parameters):
        raise LaunchError(
            f"'{kernel.name}' needs {len(entry.parameters)} arguments, but "
            f"{len(args)} are given; pass the bytes of each parameter"
        )
    packed = np.zeros(kernel.parameter_bytes, np.uint8)
    for i, (variable, data) in enumerate(zip(entry.parameters, args, strict=True)):
        size = bytes_of_variable(variable)
        if len(data) != size:
            raise LaunchError(
                f"'{kernel.name}' needs {size} bytes for parameter {i} "
                f"('{variable.name}'), but {len(data)} are given; pass the bytes of "
                f"a .{variable.type}"
            )
        start = kernel.parameters[variable.name].offset
        packed[start : start + size] = np.frombuffer(data, np.uint8)
    return packed

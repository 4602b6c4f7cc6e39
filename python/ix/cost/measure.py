"""A compiled program → its figures: a run on the emulator, ptxas on each kernel."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ix.cost.cuda_tools import find_tool
from ix.cost.figures import KernelFigures, ModelFigures, Signature
from ix.cost.occupancy import occupancy
from ix.cost.ptxas import KernelResources, assemble
from ix.cost.sass import instruction_mix
from ix.emulator.device import EmulatorDevice
from ix.errors import InputError
from ix.runtime.sizes import evaluate
from ix.target import Target

if TYPE_CHECKING:
    from ix.runtime.device_executable import DeviceExecutable
    from ix.runtime.plan import Kernel, Plan

__all__ = ["figures_of", "measure"]

SECTOR = 32  # bytes


def measure(
    executable: DeviceExecutable, arrays: Sequence[Any], options: Sequence[str] = ()
) -> ModelFigures:
    """Runs a program once on the emulator and assembles its kernels.

    Args:
        executable: On the device `emulator`.
        arrays: Its inputs.
        options: More options of ptxas.

    Returns:
        Figures of each kernel. Without ptxas there are no registers, spills and
        occupancy; without nvdisasm there is no mix of instructions.

    Raises:
        InputError: The program is on another device.
        AssemblyError: ptxas refuses a kernel.
    """
    device = executable.device
    if not isinstance(device, EmulatorDevice):
        raise InputError(
            f"measuring '{executable.plan.name}' needs the device emulator, but it is "
            f"on {type(device).__name__}; compile it with device='emulator'"
        )
    first = len(device.launches)
    executable.run_flat(arrays)
    dims = executable.dims_of(arrays)
    return figures_of(executable, device.launches[first:], dims, options)


def figures_of(
    executable: DeviceExecutable,
    launches: Sequence[tuple[str, Any]],
    dims: Sequence[int] = (),
    options: Sequence[str] = (),
) -> ModelFigures:
    """As `measure`, of a run that has been.

    Args:
        launches: The symbol and the counters of each launch, as the device has them.
        dims: The sizes of the declared dimensions in that run.
    """
    totals: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for symbol, counters in launches:
        totals[symbol]["launches"] += 1
        for name, amount in counters.as_dict().items():
            totals[symbol][name] += amount
    plan = executable.plan
    target = Target.parse(plan.target).name
    kernels = [
        _figures(plan, number, totals[kernel.symbol], dims, target, ptx, options)
        for number, (kernel, ptx) in enumerate(
            zip(plan.kernels, executable.objects[::2], strict=True)
        )
        if totals[kernel.symbol]["launches"]
    ]
    names = [dim.name for dim in plan.dims]
    return ModelFigures(target, tuple(kernels), dict(zip(names, dims, strict=True)))


def _figures(
    plan: Plan,
    number: int,
    counted: dict[str, int],
    dims: Sequence[int],
    target: str,
    ptx: bytes,
    options: Sequence[str],
) -> KernelFigures:
    kernel = plan.kernels[number]
    launch = next(x for x in plan.launches if x.kernel == number)
    launches = counted["launches"]
    loads, stores = _ideal_sectors(plan, number, dims)
    calls = launches // sum(x.kernel == number for x in plan.launches)
    resources, mix = _assembled(kernel, ptx.decode(), target, options)
    shared = resources.shared_bytes + kernel.dynamic_shared_bytes
    resident = 0.0
    if resources.registers:
        resident = occupancy(
            target,
            threads=kernel.threads,
            registers=resources.registers,
            shared_bytes=shared,
        ).fraction
    return KernelFigures(
        Signature(kernel.family, launch.ops, kernel.types),
        launches=launches,
        global_load_sectors=counted["global_load_sectors"],
        global_store_sectors=counted["global_store_sectors"],
        ideal_load_sectors=calls * loads,
        ideal_store_sectors=calls * stores,
        global_load_requests=counted["global_load_requests"],
        global_store_requests=counted["global_store_requests"],
        bank_conflicts=counted["shared_load_conflicts"]
        + counted["shared_store_conflicts"],
        tensor_ops=counted["tensor_operations"],
        barriers=counted["barriers"],
        bytes_read=counted["global_load_bytes"],
        bytes_written=counted["global_store_bytes"],
        flops=counted["flops"],
        registers=resources.registers,
        spill_bytes=resources.spill_bytes,
        shared_bytes=shared,
        occupancy=resident,
        sass=mix,
    )


def _assembled(
    kernel: Kernel, ptx: str, target: str, options: Sequence[str]
) -> tuple[KernelResources, dict[str, int]]:
    """What ptxas and nvdisasm say; nothing where they are not installed."""
    if find_tool("ptxas") is None:
        return KernelResources(), {}
    done = assemble(ptx, target, options=options)
    mix: dict[str, int] = {}
    if find_tool("nvdisasm") is not None:
        mix = instruction_mix(done.cubin)[kernel.symbol]
    return done.kernels[kernel.symbol], mix


def _ideal_sectors(plan: Plan, number: int, dims: Sequence[int]) -> tuple[int, int]:
    """Sectors that all launches of a kernel need in a call: of loads, of stores."""
    needed = [0, 0]
    for launch in plan.launches:
        if launch.kernel != number:
            continue
        sizes = [evaluate(size, dims) for size in launch.sizes]
        for place, memory in enumerate(plan.kernels[number].tensor_bytes):
            is_store = place >= len(launch.reads)
            needed[is_store] += -(-evaluate(memory, sizes) // SECTOR)
    return needed[0], needed[1]

"""`ix cost model.onnx --target sm_90a --budget budget.json`"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from ix.cost.budget import check
from ix.cost.cuda_tools import require_tool
from ix.cost.figures import KernelFigures, ModelFigures
from ix.cost.measure import measure
from ix.cost.roofline import Device, device_named, time_bound
from ix.errors import InputError
from ix.runtime.device_executable import DeviceExecutable
from ix.tools.commands.run import inputs_for
from ix.tools.model_source import add_model_arguments, open_model
from ix.tools.output_file import add_json_argument, write_json

__all__ = ["add", "run"]


def add(parser: argparse.ArgumentParser) -> None:
    """The verb's own arguments."""
    add_model_arguments(parser)
    parser.set_defaults(target="sm_90a", device="emulator", seed=0)
    parser.add_argument(
        "--gpu",
        default="h200",
        metavar="NAME",
        help="whose bandwidth and peaks bound the time: h200, h100, a100-80gb …",
    )
    parser.add_argument(
        "--budget", metavar="FILE", help="fail where a figure is worse than in FILE"
    )
    parser.add_argument(
        "--update", action="store_true", help="write the figures to the budget"
    )
    add_json_argument(parser, "the figures")


def run(options: argparse.Namespace) -> int:
    """Prints the figures of a model, and compares them with a budget."""
    if options.update and not options.budget:
        raise InputError("--update needs --budget FILE, but there is none; name one")
    gpu = device_named(options.gpu)
    if options.budget:
        require_tool("ptxas")  # a budget holds registers and spills
    executable, specs = open_model(options)
    if not isinstance(executable, DeviceExecutable):
        raise InputError(
            f"ix cost needs a GPU target, but got '{options.target}'; pass "
            "--target sm_90a"
        )
    figures = measure(executable, inputs_for(executable, specs, options.seed))
    if options.json:
        write_json(figures.to_json(), options.json)
    if options.json != "-":
        print(_report(figures, gpu))
    if options.budget:
        comparison = check(Path(options.budget), figures, update=options.update)
        done = "written" if options.update else "kept"
        print(f"\nbudget {options.budget} {done}: {comparison}")
    return 0


_COLUMNS = (
    ("launches", "launches"),
    ("loads", "global_load_sectors"),
    ("ideal", "ideal_load_sectors"),
    ("stores", "global_store_sectors"),
    ("ideal", "ideal_store_sectors"),
    ("conflicts", "bank_conflicts"),
    ("barriers", "barriers"),
    ("registers", "registers"),
    ("spills", "spill_bytes"),
    ("shared", "shared_bytes"),
)


def _report(figures: ModelFigures, gpu: Device) -> str:
    """A table of the kernels, what costs most first, and the totals."""
    bounds = [(_seconds(k, gpu), k) for k in figures.kernels]
    bounds.sort(key=lambda pair: (-pair[0], pair[1].signature))
    header = "".join(f"{title:>10}" for title, _ in _COLUMNS)
    lines = [f"{header}{'occupancy':>10}{'≥ µs':>9}  kernel"]
    for seconds, kernel in bounds:
        numbers: dict[str, Any] = kernel.numbers()
        cells = "".join(f"{numbers[name]:>10}" for _, name in _COLUMNS)
        ops = ", ".join(kernel.signature.ops)
        lines.append(
            f"{cells}{kernel.occupancy:>9.0%} {seconds * 1e6:>9.2f}  "
            f"{kernel.signature.family}: {ops}"
        )
    total = figures.totals
    lines += [
        "",
        f"{figures.launches} launches for {figures.target}: "
        f"{total['bytes_read'] / 1e6:.2f} MB read, "
        f"{total['bytes_written'] / 1e6:.2f} MB written, "
        f"{total['flops'] / 1e6:.1f} MFLOP, "
        f"{total['bank_conflicts']:.0f} bank conflicts, "
        f"{total['spill_bytes']:.0f} bytes of spills",
        f"At least {sum(s for s, _ in bounds) * 1e6:.1f} µs on {gpu.name}, by its "
        "bandwidth and peaks; sectors and requests are those of one run on the "
        "emulator, without caches.",
    ]
    return "\n".join(lines)


def _seconds(kernel: KernelFigures, gpu: Device) -> float:
    """The bound of all launches: each tensor moved once, at the peak bandwidth."""
    moved = 32 * (kernel.ideal_load_sectors + kernel.ideal_store_sectors)
    return time_bound(gpu, bytes_moved=moved, flops=kernel.flops).seconds

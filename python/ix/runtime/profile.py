"""Times of an executable: whole calls, and each kernel on its own.

A profile launches the kernels one by one from Python, as the entry does in one go, so
that each can be timed; the sum is a few microseconds a launch above the call itself.
"""

from __future__ import annotations

import ctypes
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ix.runtime.sizes import evaluate

if TYPE_CHECKING:
    from ix.runtime.cpu_executable import CpuExecutable

__all__ = ["KernelTime", "Profile", "percentile", "profile"]

_KERNEL_TYPE = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p)


def percentile(values: Sequence[float], percent: float) -> float:
    """The nearest-rank percentile: the least value that `percent` % do not exceed."""
    ordered = sorted(values)
    rank = max(math.ceil(percent / 100 * len(ordered)), 1)
    return ordered[rank - 1]


@dataclass(frozen=True)
class KernelTime:
    """One launch: its number, kernel, family, ops and median time in microseconds."""

    launch: int
    symbol: str
    family: str
    ops: tuple[str, ...]
    median_us: float
    flops: int
    bytes: int

    @property
    def gflops(self) -> float:
        """Arithmetic speed in GFLOP/s."""
        return self.flops / self.median_us / 1e3 if self.median_us else 0.0

    @property
    def gbytes(self) -> float:
        """Bytes of inputs and outputs moved, in GB/s."""
        return self.bytes / self.median_us / 1e3 if self.median_us else 0.0


@dataclass(frozen=True)
class Profile:
    """Latencies of whole calls in milliseconds, and the kernels' times."""

    calls_ms: tuple[float, ...]
    kernels: tuple[KernelTime, ...]

    @property
    def median_ms(self) -> float:
        """The 50th percentile of the calls."""
        return percentile(self.calls_ms, 50)

    def __str__(self) -> str:
        p = [percentile(self.calls_ms, each) for each in (50, 95, 99)]
        lines = [
            f"{len(self.calls_ms)} calls: P50 {p[0]:.3f} ms, P95 {p[1]:.3f} ms, "
            f"P99 {p[2]:.3f} ms",
            f"{'#':>4} {'us':>9} {'share':>6} {'GFLOP/s':>8} {'GB/s':>6}  kernel",
        ]
        total = sum(k.median_us for k in self.kernels) or 1.0
        for k in sorted(self.kernels, key=lambda k: -k.median_us):
            lines.append(
                f"{k.launch:>4} {k.median_us:>9.1f} {k.median_us / total:>6.1%} "
                f"{k.gflops:>8.1f} {k.gbytes:>6.1f}  {k.family}: {', '.join(k.ops)}"
            )
        return "\n".join(lines)

    def to_json(self) -> dict[str, Any]:
        """The profile as plain data."""
        return {
            "latency_ms": {
                f"p{each}": percentile(self.calls_ms, each) for each in (50, 90, 95, 99)
            },
            "calls": len(self.calls_ms),
            "kernels": [
                {
                    "launch": k.launch,
                    "symbol": k.symbol,
                    "family": k.family,
                    "ops": list(k.ops),
                    "median_us": k.median_us,
                    "gflops": k.gflops,
                    "gbytes_per_s": k.gbytes,
                }
                for k in self.kernels
            ],
        }


def profile(
    executable: CpuExecutable, arrays: Sequence[Any], calls: int = 30, rounds: int = 9
) -> Profile:
    """Times whole calls and each launch.

    Args:
        executable: What to time.
        arrays: Its inputs.
        calls: Whole calls that are timed, after two that are not.
        rounds: Times that each launch runs; the median counts.

    Raises:
        InputError: An input does not fit.
    """
    for _ in range(2):
        executable.run_flat(arrays)
    latencies = []
    for _ in range(calls):
        start = time.perf_counter()
        executable.run_flat(arrays)
        latencies.append((time.perf_counter() - start) * 1e3)
    return Profile(tuple(latencies), tuple(_launches(executable, arrays, rounds)))


def _launches(
    executable: CpuExecutable, arrays: Sequence[Any], rounds: int
) -> list[KernelTime]:
    plan = executable.plan
    with executable.prepared(arrays) as (work, outputs, pool):
        del outputs  # kept alive by the context
        count = len(work.pointers)
        first = {
            "input": 0,
            "output": len(plan.inputs),
            "constant": len(plan.inputs) + len(plan.outputs),
        }
        dims = list(work.dims)
        times: list[list[float]] = [[] for _ in plan.launches]
        for _ in range(rounds):
            for number, launch in enumerate(plan.launches):
                kernel = plan.kernels[launch.kernel]
                values = []
                for kind, at in launch.arguments:
                    if kind == "arena":
                        values.append((work.pointers[count - 2] or 0) + at)
                    else:
                        values.append(work.pointers[first[kind] + at] or 0)
                values.append(work.pointers[count - 1] or 0)
                values += [evaluate(size, dims) for size in launch.sizes]
                table = (ctypes.c_uint64 * (len(values) + 1))(*values, 0)
                run = _KERNEL_TYPE(executable.symbol(kernel.symbol))
                start = time.perf_counter()
                run(pool, ctypes.addressof(table))
                times[number].append(time.perf_counter() - start)
    result = []
    for number, launch in enumerate(plan.launches):
        kernel = plan.kernels[launch.kernel]
        median = percentile(times[number], 50) * 1e6
        result.append(
            KernelTime(
                number,
                kernel.symbol,
                kernel.family,
                launch.ops,
                median,
                kernel.flops,
                kernel.bytes,
            )
        )
    return result

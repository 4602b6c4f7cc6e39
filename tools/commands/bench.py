"""`ix bench model.onnx`: latency, throughput and memory, in trtexec's words."""

from __future__ import annotations

import argparse
import resource
import time
from typing import Any

import numpy as np

from ix.errors import InputError
from ix.runtime.executable import Executable
from ix.runtime.profile import percentile
from ix.tools.commands.run import inputs_for
from ix.tools.model_source import add_model_arguments, open_model
from ix.tools.output_file import add_json_argument, write_json

__all__ = ["add", "measure", "run"]


def add(parser: argparse.ArgumentParser) -> None:
    """The verb's own arguments."""
    add_model_arguments(parser)
    parser.add_argument("--iterations", type=int, default=10, help="calls at least")
    parser.add_argument("--duration", type=float, default=3.0, help="seconds at least")
    parser.add_argument("--warm-up", type=float, default=200, help="milliseconds")
    parser.add_argument(
        "--percentile", default="50,90,95,99", help="which, separated by commas"
    )
    parser.add_argument("--dump-profile", action="store_true", help="time each kernel")
    parser.add_argument("--seed", type=int, default=0, help="of random inputs")
    add_json_argument(parser, "the figures")


def run(options: argparse.Namespace) -> int:
    """Measures and prints."""
    percents = _percents(options.percentile)
    _check_limits(options)
    start = time.perf_counter()
    executable, specs = open_model(options)
    build_s = time.perf_counter() - start
    arrays = inputs_for(executable, specs, options.seed)
    times = measure(
        executable, arrays, options.iterations, options.duration, options.warm_up
    )
    figures = _figures(executable, times, percents, build_s)
    on_gpu = executable.plan.kernels and executable.plan.kernels[0].threads
    figures["device"] = (options.device or "cuda") if on_gpu else ""
    profile = executable.profile(*arrays) if options.dump_profile else None
    if profile is not None:
        figures["profile"] = profile.to_json()
    if options.json:
        write_json(figures, options.json)
        if options.json == "-":
            return 0
    _print(figures, percents)
    if profile is not None:
        print(profile)
    return 0


def _percents(text: str) -> list[float]:
    """The numbers of --percentile."""
    try:
        percents = [float(word) for word in text.split(",")]
    except ValueError:
        percents = []
    if not percents or not all(0 < percent <= 100 for percent in percents):
        raise InputError(
            f"--percentile needs numbers above 0 and up to 100, separated by commas, "
            f"but got '{text}'; for example --percentile 50,99"
        )
    return percents


def _check_limits(options: argparse.Namespace) -> None:
    for name, least in (("iterations", 1), ("duration", 0), ("warm_up", 0)):
        value = getattr(options, name)
        if not least <= value < float("inf"):
            raise InputError(
                f"--{name.replace('_', '-')} needs to be at least {least}, but is "
                f"{value}"
            )


def measure(
    executable: Executable,
    arrays: list[np.ndarray],
    iterations: int,
    duration_s: float,
    warm_up_ms: float,
) -> list[float]:
    """Milliseconds of each call, one after the other."""
    end = time.perf_counter() + warm_up_ms / 1e3
    while time.perf_counter() < end:
        executable.run_flat(arrays)
    times: list[float] = []
    end = time.perf_counter() + duration_s
    while len(times) < iterations or time.perf_counter() < end:
        start = time.perf_counter()
        executable.run_flat(arrays)
        times.append((time.perf_counter() - start) * 1e3)
    return times


def _figures(
    executable: Executable, times: list[float], percents: list[float], build_s: float
) -> dict[str, Any]:
    wall_s = sum(times) / 1e3
    median = percentile(times, 50)
    return {
        "model": executable.plan.name,
        "target": executable.plan.target,
        "threads": executable.num_threads,
        "build_s": build_s,
        "iterations": len(times),
        "throughput_qps": len(times) / wall_s,
        "host_latency_ms": {
            "min": min(times),
            "max": max(times),
            "mean": wall_s * 1e3 / len(times),
            "median": median,
            **{f"p{percent:g}": percentile(times, percent) for percent in percents},
        },
        "gflops_per_s": executable.plan.flops / median / 1e6,
        "total_host_walltime_s": wall_s,
        "memory_bytes": {
            **executable.memory_bytes,
            "peak_rss": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        },
    }


def _print(figures: dict[str, Any], percents: list[float]) -> None:
    latency = figures["host_latency_ms"]
    tail = ", ".join(
        f"percentile({percent:g}%) = {latency[f'p{percent:g}']:.4f} ms"
        for percent in percents
    )
    threads = f"{figures['threads']} threads"
    print(f"Model: {figures['model']}, {figures['device'] or threads}")
    print(f"Throughput: {figures['throughput_qps']:.2f} qps")
    print(
        f"Host Latency: min = {latency['min']:.4f} ms, max = {latency['max']:.4f} ms, "
        f"mean = {latency['mean']:.4f} ms, median = {latency['median']:.4f} ms, {tail}"
    )
    print(f"Arithmetic: {figures['gflops_per_s']:.1f} GFLOP/s at the median")
    print(
        f"Total Host Walltime: {figures['total_host_walltime_s']:.3f} s over "
        f"{figures['iterations']} iterations"
    )
    memory = ", ".join(
        f"{kind} {size / 2**20:.2f} MiB"
        for kind, size in figures["memory_bytes"].items()
    )
    print(f"Memory: {memory}")

"""Checks and measures ix on a GPU; writes results/gpu.json.

    python benchmarks/gpu.py prepare FOLDER     # anywhere, with the compiler
    python benchmarks/gpu.py run FOLDER         # with a GPU: NumPy, CuPy, no MLIR

`run` compares every program with float64, and with the bits that the emulator computed
where the PTX ISA defines them. It measures elementwise and row programs against the
speed of a copy and against torch.compile (where PyTorch sees the GPU), the host's cost
of a call of the model, and compares the emulator's counters with those of ncu (where
that is found).
"""

from __future__ import annotations

import argparse
import csv
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
from gpu_works import MEASURED, as_float64  # beside this file

import ix
from ix.runtime.cuda import CudaDevice

RESULTS = Path(__file__).parent / "results" / "gpu.json"
COPY_MARK = 0.85
"""First mark: the least share of a copy's speed for programs that memory bounds."""

HOST_MARK_US = 15.0
"""First mark: the most that a call of the model may cost the host."""

NCU = {
    "l1tex__t_sectors_pipe_lsu_mem_global_op_ld.sum": "global_load_sectors",
    "l1tex__t_sectors_pipe_lsu_mem_global_op_st.sum": "global_store_sectors",
}
"""Counters of Nsight Compute, and the emulator's that count the same."""


class Bench:
    """A GPU, and the folder of programs for it."""

    def __init__(self, folder: Path, device: CudaDevice) -> None:
        import cupy

        self.folder, self.device, self.cupy = folder, device, cupy
        self.manifest = json.loads((folder / "manifest.json").read_text())
        self.target = "sm_90a" if device.capability == (9, 0) else "sm_80"

    def load(self, entry: Any) -> Any:
        path = self.folder / f"{entry['file']}.{self.target}.ix"
        return ix.load(path, device=self.device)

    def arrays(self, entry: Any, kind: str) -> list[np.ndarray]:
        with np.load(self.folder / f"{entry['file']}.{kind}.npz") as found:
            return [found[f"a{number}"] for number in range(len(found.files))]

    def check(self, entry: Any) -> dict[str, Any]:
        """One program against float64, and against the emulator's bits."""
        facts = entry["targets"][self.target]
        program, inputs = self.load(entry), self.arrays(entry, "inputs")
        outputs = program(*inputs)
        there = program(*[self.cupy.asarray(each) for each in inputs])
        wanted = self.arrays(entry, "float64")
        error = max(map(relative_error, outputs, wanted))
        row = {
            "work": entry["name"],
            "families": facts["families"],
            "launches": facts["launches"],
            "error": error,
            "tolerance": entry["tolerance"],
            "right": error <= entry["tolerance"],
            "same_from_device_arrays": all(
                same_bits(one, other.get())
                for one, other in zip(outputs, there, strict=True)
            ),
        }
        if facts["bits"]:
            kept = self.arrays(entry, f"{self.target}.emulator")
            pairs = zip(outputs, kept, strict=True)
            row["emulators_bits"] = all(same_bits(a, b) for a, b in pairs)
        return row

    def time_us(self, call: Callable[[], Any], calls: int = 20, rounds: int = 9) -> Any:
        """Median time on the GPU of a call, many queued between two events."""
        device, stream = self.device, self.device.current_stream()
        for _ in range(3):
            call()
        found = []
        for _ in range(rounds):
            start, end = device.event(timing=True), device.event(timing=True)
            start.record(stream)
            for _ in range(calls):
                call()
            end.record(stream)
            stream.synchronize()
            found.append(device.elapsed_us(start, end) / calls)
        return median(found)

    def copy_gbytes(self, size: int) -> float:
        """Bytes read and written each second by a copy on the GPU, in GB/s."""
        device, stream = self.device, self.device.current_stream()
        source, target = device.allocate(size), device.allocate(size)
        took = self.time_us(lambda: device.copy(target, source, size, stream))
        device.free(source)
        device.free(target)
        return 2 * size / took / 1e3

    def measure(self, entry: Any, copy: float) -> dict[str, Any]:
        """One program that memory bounds, against the copy and torch.compile."""
        work, rows = MEASURED[entry["name"]], entry["rows"]
        arrays = work.arrays(np.random.default_rng(), rows)
        inputs = [self.cupy.asarray(each) for each in arrays]
        program = self.load(entry)
        got = program(*inputs)[0].get()
        error = relative_error(got, work.function(*as_float64(arrays)))
        took = self.time_us(lambda: program(*inputs))
        speed = work.bytes(rows) / took / 1e3
        row: dict[str, Any] = {
            "work": f"{entry['name']} f32[{rows}, {work.width}]",
            "us": took,
            "gbytes_per_s": speed,
            "share_of_copy": speed / copy,
            "mark": COPY_MARK,
            "met": speed / copy >= COPY_MARK,
            "right": error <= work.tolerance,
        }
        peer = self.torch_us(work.torch, arrays)
        if peer is not None:
            row |= {"torch_compile_us": peer, "ratio": peer / took}
        return row

    def torch_us(self, function: Any, arrays: list[np.ndarray]) -> float | None:
        """The time of torch.compile; None where PyTorch does not see the GPU."""
        try:
            import torch
        except ImportError:
            return None
        if not torch.cuda.is_available():
            return None
        compiled = torch.compile(function)
        tensors = [
            torch.from_numpy(each).to(f"cuda:{self.device.id}") for each in arrays
        ]
        for _ in range(3):
            compiled(*tensors)
        found = []
        for _ in range(9):
            start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            start.record()
            for _ in range(20):
                compiled(*tensors)
            end.record()
            torch.cuda.synchronize()
            found.append(start.elapsed_time(end) * 1e3 / 20)
        return median(found)

    def host_us(self, entry: Any, calls: int = 300) -> dict[str, Any]:
        """What a call with arrays on the GPU costs the host until it returns."""
        program = self.load(entry)
        inputs = [self.cupy.asarray(each) for each in self.arrays(entry, "inputs")]
        stream = self.device.current_stream()
        times = []
        for number in range(calls + 20):
            if number % 10 == 0:
                stream.synchronize()  # a full queue would make the host wait
            start = time.perf_counter()
            program(*inputs)
            if number >= 20:
                times.append((time.perf_counter() - start) * 1e6)
        found = median(times)
        return {
            "work": entry["name"],
            "us": found,
            "mark_us": HOST_MARK_US,
            "met": found <= HOST_MARK_US,
        }

    def calibrate(self, entry: Any) -> dict[str, Any] | None:
        """Counters of ncu beside the emulator's, kernel by kernel; None without ncu."""
        ncu = shutil.which("ncu")
        counted = entry["targets"][self.target].get("counters")
        if ncu is None or not counted:
            return None
        here = [sys.executable, __file__, "once", str(self.folder), entry["name"]]
        metrics = ["--metrics", ",".join(NCU)]
        command = [ncu, "--csv", "--kernel-name", "regex:^ix_", *metrics, *here]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            return {"work": entry["name"], "failed": done.stderr[-500:]}
        return {"work": entry["name"], "kernels": compared(done.stdout, counted)}


def compared(output: str, counted: Sequence[Any]) -> list[dict[str, Any]]:
    """Rows of ncu's CSV output beside the emulator's counts, in launch order.

    ncu writes a line for each launch and metric: ID, Kernel Name, Metric Name and
    Metric Value are among its columns.
    """
    lines = output.splitlines()
    starts = [n for n, line in enumerate(lines) if line.startswith('"ID"')]
    if not starts:
        return []
    launches: dict[str, dict[str, Any]] = {}
    for row in csv.DictReader(lines[starts[0] :]):
        launch = launches.setdefault(row["ID"], {"kernel": row["Kernel Name"]})
        name = NCU.get(row["Metric Name"])
        if name is not None:
            launch[name] = int(float(row["Metric Value"].replace(",", "")))
    found = []
    for launch, kernel in zip(launches.values(), counted, strict=False):
        for name in NCU.values():
            found.append(
                {
                    "kernel": launch["kernel"],
                    "counter": name,
                    "ncu": launch.get(name),
                    "emulator": kernel["counters"][name],
                }
            )
    return found


def relative_error(got: np.ndarray, want: np.ndarray) -> float:
    """The largest difference over the largest value; infinite if NaN or misshapen."""
    if got.shape != want.shape:
        return float("inf")
    if not got.size:
        return 0.0
    difference = np.abs(got.astype(np.float64) - want).max()
    error = float(difference / max(float(np.abs(want).max()), 1e-30))
    return error if error == error else float("inf")


def same_bits(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether two arrays agree in shape, dtype and every byte."""
    same = one.shape == other.shape and one.dtype == other.dtype
    return same and one.tobytes() == other.tobytes()


def run(folder: Path, device: CudaDevice, copy_bytes: int = 1 << 28) -> dict[str, Any]:
    """Everything; returns what is written."""
    bench = Bench(folder, device)
    checked = bench.manifest["checked"]
    copy = bench.copy_gbytes(copy_bytes)
    found = {
        "device": device.model,
        "compute_capability": ".".join(map(str, device.capability)),
        "driver_cuda": f"{device.driver // 1000}.{device.driver % 1000 // 10}",
        "date": time.strftime("%Y-%m-%d"),
        "ix": ix.__version__,
        "target": bench.target,
        "copy_gbytes_per_s": copy,
        "checked": [bench.check(entry) for entry in checked],
        "measured": [bench.measure(e, copy) for e in bench.manifest["measured"]],
        "host": [bench.host_us(e) for e in checked if e["name"].startswith("MiniLM")],
    }
    calibrated = [bench.calibrate(entry) for entry in checked]
    return found | {"ncu": [each for each in calibrated if each is not None]}


def verdict(found: dict[str, Any]) -> list[str]:
    """What is wrong or below its mark, one line each."""
    lines = []
    for row in found["checked"]:
        for fact in ("right", "same_from_device_arrays", "emulators_bits"):
            if not row.get(fact, True):
                lines.append(f"{row['work']}: not {fact} (error {row['error']:.3g})")
    for row in found["measured"]:
        if not row["right"]:
            lines.append(f"{row['work']}: not right")
        if not row["met"]:
            lines.append(f"{row['work']}: {row['share_of_copy']:.0%} of a copy")
    for row in found["host"]:
        if not row["met"]:
            lines.append(f"{row['work']}: {row['us']:.1f} us of the host")
    return lines


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns 1 where something is wrong or below its mark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("verb", choices=("prepare", "run", "once"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("name", nargs="*", help="works to take; all by default")
    parser.add_argument("--output", type=Path, default=RESULTS)
    parser.add_argument("--device", type=int, default=0)
    parser.add_argument("--rows", type=int, default=1 << 14)
    parser.add_argument("--emulate-model", action="store_true")
    options = parser.parse_args(arguments)
    if options.verb == "prepare":
        from gpu_prepare import prepare

        names, emulate = options.name or None, options.emulate_model
        prepare(options.folder, names=names, rows=options.rows, emulate_model=emulate)
        return 0
    device = CudaDevice(options.device)
    if options.verb == "once":  # under ncu
        bench = Bench(options.folder, device)
        for entry in bench.manifest["checked"]:
            if entry["name"] in options.name:
                bench.load(entry)(*bench.arrays(entry, "inputs"))
        return 0
    found = run(options.folder, device)
    options.output.write_text(json.dumps(found, indent=1) + "\n")
    problems = verdict(found)
    print("\n".join(problems) or "all right, all marks met")
    return int(bool(problems))


if __name__ == "__main__":
    sys.exit(main())

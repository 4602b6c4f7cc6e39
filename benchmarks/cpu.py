"""Times ix against NumPy, PyTorch, torch.compile and ONNX Runtime on this CPU.

    python benchmarks/cpu.py [--json benchmarks/results/cpu.json [--append]]
                             [--only TEXT …]

Each library runs in a process of its own, because their spinning workers spoil each
other. The processes take turns, a slice of calls at a time; the figures are the medians
of the slices, and the worst slice. Every result is checked against float64 first.

A slice during which other processes used a quarter of a processor or more is timed
again, whoever's it is, as soon as they are done; how many were, and how many stayed
disturbed, is part of the row.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
from disturbance import Watch, wait_until_idle  # beside this file

DISTURBED = 0.25
"""Processors that others may use during a slice."""
TRIES = 8
"""Times that a slice is timed until it is taken as it is."""
THREADS = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "IX_NUM_THREADS",
)
MINILM = {f"MiniLM-L6 b{b} s128": b for b in (1, 8)}
MINILM_GOALS = {"eager": 1.4, "inductor": 1.15, "onnxruntime": 1.15}


# The worker: one library.


def open_work(peer: str, name: str) -> Any:
    """A call without arguments that returns the result's arrays, and its inputs."""
    if name in MINILM:
        return open_minilm(peer, MINILM[name])
    from works import WORKS

    work = WORKS[name]
    rng = np.random.default_rng(7)
    inputs, weights = work.inputs(rng), work.weights(rng)
    if peer == "reference":
        return open_torch(work, inputs, weights, double=True)
    if peer in ("eager", "inductor"):
        return open_torch(work, inputs, weights, compiled=peer == "inductor")
    if peer == "onnxruntime":
        return open_onnxruntime(work, inputs, weights)
    assert work.numpy is not None or peer == "ix"
    if peer == "numpy":
        return lambda: work.numpy(weights, *inputs)
    import ix

    if work.numpy is not None:
        function = ix.jit(lambda *arrays: work.numpy(weights, *arrays))
        return lambda: function(*inputs)
    compiled = ix.compile(torch_module(work, weights), tuple(map(tensor, inputs)))
    tensors = tuple(map(tensor, inputs))
    return lambda: compiled(*tensors)


def tensor(array: np.ndarray) -> Any:
    """A torch tensor that shares an array's memory."""
    import torch

    return torch.from_numpy(array)


def torch_module(
    work: Any, weights: dict[str, np.ndarray], double: bool = False
) -> Any:
    """The work as an nn.Module whose buffers are the weights."""
    import torch

    class Module(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.names = list(weights)
            for number, array in enumerate(weights.values()):
                value = torch.from_numpy(array)
                self.register_buffer(f"w{number}", value.double() if double else value)

        def forward(self, *inputs: Any) -> Any:
            named = {n: getattr(self, f"w{i}") for i, n in enumerate(self.names)}
            return work.torch(named, *inputs)

    return Module().eval()


def open_torch(
    work: Any,
    inputs: list[np.ndarray],
    weights: dict[str, np.ndarray],
    compiled: bool = False,
    double: bool = False,
) -> Any:
    import torch

    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    module = torch_module(work, weights, double)
    tensors = [tensor(x).double() if double else tensor(x) for x in inputs]
    if compiled:
        module = torch.compile(module)

    def call() -> Any:
        with torch.inference_mode():
            return module(*tensors)

    return call


def session_options() -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = int(os.environ["OMP_NUM_THREADS"])
    options.log_severity_level = 3
    return options


def open_onnxruntime(
    work: Any, inputs: list[np.ndarray], weights: dict[str, np.ndarray]
) -> Any:
    import onnxruntime
    import torch

    names = [f"x{n}" for n in range(len(inputs))]
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "work.onnx")
        module = torch_module(work, weights)
        arguments = tuple(map(tensor, inputs))
        torch.onnx.export(module, arguments, path, input_names=names, dynamo=False)
        session = onnxruntime.InferenceSession(path, session_options())
    feed = dict(zip(names, inputs, strict=True))
    return lambda: session.run(None, feed)


def open_minilm(peer: str, batch: int) -> Any:
    from ix.tools.demo.runtimes import RUNTIMES

    rng = np.random.default_rng(7)
    tokens = rng.integers(1000, 30000, (batch, 128))
    mask = np.ones((batch, 128), np.int64)
    mask[:, 100:] = 0
    threads = int(os.environ["OMP_NUM_THREADS"])
    name = {"eager": "pytorch", "inductor": "pytorch"}.get(peer, peer)
    if peer == "inductor":
        import torch

        from ix.tools.demo import torch_minilm

        torch.set_num_threads(threads)
        weights = torch_minilm.tensors()
        function = torch.compile(torch_minilm.embed)
        pair = torch.from_numpy(tokens), torch.from_numpy(mask)

        def call() -> Any:
            with torch.inference_mode():
                return function(weights, *pair)

        return call
    embed = RUNTIMES[name](threads, 128).open(batch)
    return lambda: embed(tokens, mask)


def flattened(result: Any) -> list[np.ndarray]:
    """The arrays of a result, in float64."""
    if isinstance(result, list | tuple):
        return [array for each in result for array in flattened(each)]
    return [np.asarray(result, dtype=np.float64)]


def serve(peer: str) -> None:
    """Answers requests on stdin until it closes."""
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print goes to stderr
    calls: dict[str, Any] = {}
    for line in sys.stdin:
        request = json.loads(line)
        name = request["work"]
        try:
            if request["call"] == "open":
                start = time.perf_counter()
                calls = {name: open_work(peer, name)}
                result = flattened(calls[name]())
                np.savez(request["file"], *result)
                reply: Any = time.perf_counter() - start
            else:
                reply = slice_of(calls[name], request["seconds"])
        except Exception as error:
            reply = {"error": f"{type(error).__name__}: {error}"[:400]}
        print(json.dumps(reply), file=replies, flush=True)


def slice_of(call: Any, seconds: float) -> tuple[float, float]:
    """Median seconds of calls for about so long, and the processors others used."""
    watch = Watch()
    call()
    times: list[float] = []
    end = time.perf_counter() + seconds
    while len(times) < 3 or time.perf_counter() < end:
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return statistics.median(times), watch.others()


# The parent.


class Peer:
    """A worker process."""

    def __init__(self, name: str, threads: int) -> None:
        self.process = subprocess.Popen(
            [sys.executable, __file__, "--serve", name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, **dict.fromkeys(THREADS, str(threads))},
        )

    def ask(self, **request: Any) -> Any:
        assert self.process.stdin is not None and self.process.stdout is not None
        print(json.dumps(request), file=self.process.stdin, flush=True)
        line = self.process.stdout.readline()
        return json.loads(line) if line else {"error": "the process ended"}

    def time(self, work: str, seconds: float, counts: dict[str, int]) -> float:
        """Seconds of a call in a slice that nobody disturbed, if there is one."""
        for _ in range(TRIES):
            time.sleep(0.25)  # until the spinning workers of the last one sleep
            median, others = self.ask(call="time", work=work, seconds=seconds)
            if others < DISTURBED:
                return float(median)
            counts["repeated"] += 1
            wait_until_idle(20)
        counts["disturbed"] += 1
        return float(median)

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(10)


def run_work(name: str, options: argparse.Namespace) -> list[dict[str, Any]]:
    """Rows of one work: one for each peer."""
    goals, tolerance = MINILM_GOALS, 1e-4
    if name not in MINILM:
        from works import WORKS

        goals, tolerance = WORKS[name].goals, WORKS[name].tolerance
    with tempfile.TemporaryDirectory() as folder:
        want = reference(name, folder, options.threads)
        peers = {p: Peer(p, options.threads) for p in ("ix", *goals)}
        try:
            return compare(name, peers, goals, tolerance, want, folder, options)
        finally:
            for peer in peers.values():
                peer.close()


def reference(name: str, folder: str, threads: int) -> list[np.ndarray]:
    peer = Peer("reference", threads)
    path = str(Path(folder) / "reference.npz")
    reply = peer.ask(call="open", work=name, file=path)
    peer.close()
    if isinstance(reply, dict):
        raise SystemExit(f"{name}: the reference fails: {reply['error']}")
    return list(np.load(path).values())


def compare(
    name: str,
    peers: dict[str, Peer],
    goals: dict[str, float],
    tolerance: float,
    want: list[np.ndarray],
    folder: str,
    options: argparse.Namespace,
) -> list[dict[str, Any]]:
    errors: dict[str, Any] = {}
    for peer, process in peers.items():
        path = str(Path(folder) / f"{peer}.npz")
        reply = process.ask(call="open", work=name, file=path)
        if isinstance(reply, dict):
            errors[peer] = reply["error"]
            continue
        got = list(np.load(path).values())
        errors[peer] = max(
            float(np.abs(a - b).max() / max(np.abs(b).max(), 1e-30))
            for a, b in zip(got, want, strict=True)
        )
    slices: dict[str, list[float]] = {p: [] for p in peers}
    counts = {"repeated": 0, "disturbed": 0}
    for _ in range(options.rounds):
        for peer, process in peers.items():
            if not isinstance(errors[peer], str):
                slices[peer].append(process.time(name, options.slice, counts))
    rows = []
    mine = slices["ix"]
    for peer, goal in goals.items():
        row: dict[str, Any] = {"work": name, "peer": peer, "goal": goal}
        for label, who in (("ix", "ix"), ("peer", peer)):
            row[f"{label}_error"] = errors[who]
            if slices[who]:
                row[f"{label}_ms"] = statistics.median(slices[who]) * 1e3
                row[f"{label}_worst_ms"] = max(slices[who]) * 1e3
        if mine and slices[peer]:
            row["ratio"] = row["peer_ms"] / row["ix_ms"]
        wrong = isinstance(errors["ix"], str) or errors["ix"] > tolerance
        row["verdict"] = verdict(row, wrong)
        row |= {f"{kind}_slices": count for kind, count in counts.items()}
        row |= {"rounds": options.rounds, "slice_s": options.slice}
        row["finished"] = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        rows.append(row)
        show(row)
    return rows


def verdict(row: dict[str, Any], wrong: bool) -> str:
    if wrong:
        return "wrong"
    if "ratio" not in row:
        return "no peer"
    return "met" if row["ratio"] >= row["goal"] else "missed"


def show(row: dict[str, Any]) -> None:
    ratio = f"{row['ratio']:.2f}x" if "ratio" in row else "-"
    mine = f"{row['ix_ms']:.3f} ms" if "ix_ms" in row else str(row["ix_error"])
    theirs = f"{row['peer_ms']:.3f} ms" if "peer_ms" in row else str(row["peer_error"])
    print(
        f"{row['work']:<44} {row['peer']:<12} ix {mine:>11}  peer {theirs:>11}  "
        f"{ratio:>7} (goal {row['goal']}x)  {row['verdict']}",
        flush=True,
    )


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    name = platform.processor() or platform.machine()
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith(("model name", "cpu family", "model\t")):
                name += ", " + line.split(":")[1].strip()
            if not line:
                break
    except OSError:
        pass
    return {
        "processor": name,
        "cores": os.cpu_count(),
        "load": os.getloadavg()[0],
        "date": time.strftime("%Y-%m-%d"),
        "python": platform.python_version(),
        "numpy": np.__version__,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    parser.add_argument(
        "--json", metavar="FILE", help="write one row per work and peer"
    )
    parser.add_argument(
        "--only", nargs="+", default=[""], help="works whose name holds one of these"
    )
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--slice", type=float, default=0.2, help="seconds")
    parser.add_argument(
        "--append", action="store_true", help="keep the rows that the file has"
    )
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    if options.serve:
        serve(options.serve)
        return 0
    from works import WORKS

    facts = machine()
    rows: list[dict[str, Any]] = []
    if options.json and options.append and Path(options.json).exists():
        rows = json.loads(Path(options.json).read_text())["rows"]
    for name in [*MINILM, *WORKS]:
        if any(text in name for text in options.only):
            rows += run_work(name, options)
            if options.json:
                text = json.dumps({"machine": facts, "rows": rows}, indent=1)
                Path(options.json).write_text(text + "\n")
    wrong = [row["work"] for row in rows if row["verdict"] == "wrong"]
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())

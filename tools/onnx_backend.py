"""ix-onnx-backend: the tests of the ONNX standard through `ix.InferenceSession`.

    python -m ix.tools.onnx_backend --provider ReferenceExecutionProvider
    python -m ix.tools.onnx_backend --workers 2 --update test/python/onnx

Each test runs in a worker process with a time limit, so that neither a crash nor a
loop stops the rest. A test ends in one of: pass, unsupported (`UnsupportedError`),
close (floats off by a few roundings of the largest element, where the test allows
none), wrong, error, bug (an exception that is not ix's), crash or timeout.
"""

from __future__ import annotations

import argparse
import re
import sys
import threading
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from queue import SimpleQueue
from typing import Any, NamedTuple

import numpy as np

from ix.errors import IxError, UnsupportedError

__all__ = ["KINDS", "Outcome", "cases", "main", "run_case"]


class Outcome(NamedTuple):
    """How one test ended: its name, the kind of end, and the reason."""

    name: str
    kind: str
    reason: str


KINDS = ("node", "simple", "pytorch-converted", "pytorch-operator")
"""The groups of tests that come with the onnx package; "real" ones are downloads."""


def cases() -> list[Any]:
    """The tests of the installed onnx package, by name."""
    from onnx.backend.test.loader import load_model_tests

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the tests' own data overflows on purpose
        found = [case for kind in KINDS for case in load_model_tests(kind=kind)]
    return sorted(found, key=lambda case: case.name)


def run_case(case: Any, provider: str) -> Outcome:
    """Runs one test on all its data sets, in this process."""
    from ix.session import InferenceSession

    try:
        model, data_sets = _loaded(case)
        session = InferenceSession(model, providers=[provider])
        names = [each.name for each in session.get_inputs()]
        for inputs, expected in data_sets:
            feed = dict(zip(names, map(_array, inputs), strict=False))
            outputs = session.run(None, feed)
            fault = _difference(outputs, expected, case.rtol, case.atol)
            if fault:
                kind = "close" if _close(outputs, expected) else "wrong"
                return Outcome(case.name, kind, fault)
    except UnsupportedError as error:
        return Outcome(case.name, "unsupported", error.items[0])
    except Exception as error:
        kind = "error" if isinstance(error, IxError) else "bug"
        return Outcome(case.name, kind, f"{type(error).__name__}: {error}")
    return Outcome(case.name, "pass", "")


def _loaded(case: Any) -> tuple[Any, list[Any]]:
    """The model and the data sets of a test, which may lie in files."""
    import onnx

    folder = Path(case.model_dir or ".")
    model = case.model or onnx.load(folder / "model.onnx")
    if case.data_sets:
        return model, case.data_sets
    sets = sorted(folder.glob("test_data_set_*"))
    return model, [(_tensors(each, "input"), _tensors(each, "output")) for each in sets]


def _tensors(folder: Path, kind: str) -> list[Any]:
    """input_0.pb, input_1.pb … of a data set."""
    from onnx import TensorProto

    count = len(list(folder.glob(f"{kind}_*.pb")))
    files = [folder / f"{kind}_{index}.pb" for index in range(count)]
    return [TensorProto.FromString(file.read_bytes()) for file in files]


def _array(value: Any) -> Any:
    """A test's input, which may be a TensorProto."""
    if not hasattr(value, "SerializeToString"):
        return value
    from onnx import numpy_helper

    return numpy_helper.to_array(value)


def _difference(
    outputs: Sequence[Any], expected: Sequence[Any], rtol: float, atol: float
) -> str:
    """Why outputs are not those expected; empty where they are."""
    if len(outputs) != len(expected):
        return f"{len(outputs)} outputs instead of {len(expected)}"
    for index, (got, raw) in enumerate(zip(outputs, expected, strict=True)):
        want = np.asarray(_array(raw))
        if got.dtype != want.dtype or got.shape != want.shape:
            return (
                f"output {index}: {got.dtype} {got.shape} instead of {want.dtype} "
                f"{want.shape}"
            )
        relative = rtol
        if want.dtype.kind not in "fiub":
            if want.dtype.name == "bfloat16":  # as onnx's own runner: two units
                relative = max(rtol, 2**-6)
            got, want = got.astype(np.float32), want.astype(np.float32)
        try:
            np.testing.assert_allclose(got, want, rtol=relative, atol=atol)
        except AssertionError as error:
            return f"output {index}: " + " ".join(str(error).split())[:300]
    return ""


def _close(outputs: Sequence[Any], expected: Sequence[Any]) -> bool:
    """Whether floats differ by a few roundings of the largest element at most."""
    for got, raw in zip(outputs, expected, strict=True):
        want = np.asarray(_array(raw))
        if got.dtype != want.dtype or got.shape != want.shape:
            return False
        if got.dtype.kind != "f":
            if not np.array_equal(got, want):
                return False
            continue
        unit = np.finfo(got.dtype).eps * np.abs(want.astype(np.float64)).max(initial=1)
        error = np.abs(got.astype(np.float64) - want.astype(np.float64))
        if not np.all(error <= 4 * unit):
            return False
    return True


def _work(pipe: Connection, provider: str) -> None:
    """A worker: receives names, sends outcomes, until it receives None."""
    known = {case.name: case for case in cases()}
    pipe.send("ready")
    while (name := pipe.recv()) is not None:
        pipe.send(run_case(known[name], provider))


class _Worker:
    """A process that runs one test at a time."""

    def __init__(self, provider: str) -> None:
        self._provider = provider
        self._start()

    def _start(self) -> None:
        context = get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(
            target=_work, args=(theirs, self._provider), daemon=True
        )
        self._process.start()
        theirs.close()
        self._pipe.recv()

    def run(self, name: str, seconds: float) -> Outcome:
        """The outcome of one test; the worker starts anew after a crash."""
        self._pipe.send(name)
        try:
            if self._pipe.poll(seconds):
                return Outcome(*self._pipe.recv())
            outcome = Outcome(name, "timeout", f"more than {seconds} s")
        except EOFError:
            self._process.join()
            outcome = Outcome(name, "crash", f"exit code {self._process.exitcode}")
        self._process.kill()
        self._process.join()
        self._start()
        return outcome

    def stop(self) -> None:
        """Ends the process."""
        self._pipe.send(None)
        self._process.join()


def run_all(
    names: Sequence[str], provider: str, seconds: float, workers: int
) -> Iterator[Outcome]:
    """Runs tests in worker processes; outcomes come in no particular order."""
    waiting = iter(names)
    outcomes: SimpleQueue[Outcome | None] = SimpleQueue()
    lock = threading.Lock()

    def work() -> None:
        worker = _Worker(provider)
        while True:
            with lock:
                name = next(waiting, None)
            if name is None:
                break
            outcomes.put(worker.run(name, seconds))
        worker.stop()
        outcomes.put(None)

    threads = [threading.Thread(target=work, daemon=True) for _ in range(workers)]
    for thread in threads:
        thread.start()
    for _ in threads:
        while (outcome := outcomes.get()) is not None:
            yield outcome


def summary(outcomes: Sequence[Outcome]) -> str:
    """How many tests ended how, and the reasons of those that do not pass."""
    counts = Counter(outcome.kind for outcome in outcomes)
    lines = [", ".join(f"{count} {kind}" for kind, count in counts.most_common())]
    reasons = Counter(
        (outcome.kind, _general(outcome.reason))
        for outcome in outcomes
        if outcome.kind != "pass"
    )
    lines += [
        f"{count:5}  {kind}: {reason}"
        for (kind, reason), count in reasons.most_common()
    ]
    return "\n".join(lines)


def _general(reason: str) -> str:
    """A reason without the names and numbers of one test."""
    line = " ".join(reason.split())
    line = re.sub(r"^\S+: \S+/\S+: error: ", "", re.sub(r"'[^']*'", "…", line))
    return re.sub(r"\d+", "n", line)[:120]


def write_lists(outcomes: Sequence[Outcome], folder: Path) -> None:
    """Writes backend_passing.txt and backend_close.txt."""
    for kind, file in (("pass", "backend_passing.txt"), ("close", "backend_close.txt")):
        names = sorted(outcome.name for outcome in outcomes if outcome.kind == kind)
        (folder / file).write_text("".join(f"{name}\n" for name in names))


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the tests, prints a summary by reason, and writes the lists."""
    parser = argparse.ArgumentParser(
        prog="ix-onnx-backend",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--provider", default="CPUExecutionProvider")
    parser.add_argument("--filter", default="", help="run tests whose names hold this")
    parser.add_argument("--timeout", type=float, default=60, help="seconds for each")
    parser.add_argument("--workers", type=int, default=1, help="processes")
    parser.add_argument("--update", type=Path, help="write the lists to this folder")
    parser.add_argument("--verbose", action="store_true", help="print each outcome")
    options = parser.parse_args(arguments)
    names = [case.name for case in cases() if options.filter in case.name]
    outcomes = []
    for outcome in run_all(names, options.provider, options.timeout, options.workers):
        outcomes.append(outcome)
        if options.verbose or outcome.kind not in ("pass", "unsupported", "close"):
            print(*outcome, sep="\t", flush=True)
    print(summary(outcomes))
    if options.update:
        write_lists(outcomes, options.update)
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""The demo's measurements: which runtimes are there, how right and how fast."""

from __future__ import annotations

import importlib.util
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ix.errors import IxError
from ix.runtime.profile import percentile
from ix.tools.demo.processes import Worker
from ix.tools.demo.sentences import tokenize

__all__ = ["BATCHES", "LEAST_COSINE", "LENGTH", "Settings", "run_experiment"]

BATCHES = (1, 8)
LENGTH = 128
LEAST_COSINE = 0.99999
"""Below this an embedding counts as wrong."""

CHUNK = 8
"""Sentences that the runtimes other than ix embed for the check."""

_PACKAGES = {
    "pytorch": ("torch",),
    "onnxruntime": ("onnxruntime", "torch", "onnx"),
}


@dataclass(frozen=True)
class Settings:
    """What the command line asks for.

    rounds: How often the runtimes take turns.
    seconds: Of one turn, for one batch size.
    others: The runtimes to compare with.
    save: Folder that gets the compiled program; "" for none.
    """

    query: str
    sentences: Sequence[str]
    threads: int
    rounds: int
    seconds: float
    others: Sequence[str] = ("numpy", "pytorch", "onnxruntime")
    save: str = ""


def run_experiment(settings: Settings, say: Callable[[str], None]) -> dict[str, Any]:
    """Runs everything; returns plain data for the report.

    Args:
        settings: What to do.
        say: Gets a line at each step.

    Raises:
        IxError: ix, NumPy or a needed package fails. Other runtimes are optional.
    """
    texts = [settings.query, *settings.sentences]
    tokens, mask = tokenize(texts, LENGTH)
    with ExitStack() as stack:
        folder = Path(
            stack.enter_context(tempfile.TemporaryDirectory(prefix="ix-demo-"))
        )
        data = folder / "tokens.npz"
        np.savez(data, tokens=tokens, mask=mask)
        run = _Run(settings, folder, data, stack, say)
        return run.all()


class _Run:
    """One run: the processes and what they found."""

    def __init__(
        self,
        settings: Settings,
        folder: Path,
        data: Path,
        stack: ExitStack,
        say: Callable[[str], None],
    ) -> None:
        self.settings, self.folder, self.data = settings, folder, data
        self.stack, self.say = stack, say
        self.workers: dict[str, Worker] = {}
        self.skipped: dict[str, str] = {}

    def all(self) -> dict[str, Any]:
        """The steps in their order: ix compiles on an idle machine."""
        self._open_ix()
        for runtime in self.settings.others:
            self._open(runtime)
        self.say("computing the float64 reference")
        exact = self._embedded(self._worker("reference"), 1)
        checks = self._checks(exact)
        times = self._times()
        ix = self.workers["ix"]
        saved: list[str] = []
        if self.settings.save:
            saved = ix.ask("save", folder=self.settings.save, batch=1)
        programs = ix.ask("facts")
        return {
            "model": "all-MiniLM-L6-v2",
            "target": programs["b1"].pop("target"),
            "threads": self.settings.threads,
            "tokens": LENGTH,
            "sentences": len(self.settings.sentences),
            "query": self.settings.query,
            "ranking": self._ranking(),
            "programs": programs,
            "runtimes": {
                name: {
                    **(worker.ask("facts") if name != "ix" else {}),
                    **checks[name],
                    **times[name],
                }
                for name, worker in self.workers.items()
            },
            "skipped": self.skipped,
            "saved": saved,
            "right": all(checks[name]["right"] for name in ("ix", "numpy")),
        }

    def _worker(self, runtime: str) -> Worker:
        worker = Worker(runtime, self.settings.threads, self.data, self.folder)
        self.stack.callback(worker.close)
        if runtime == "reference":
            worker.ask("open", batch=1)
        return worker

    def _open_ix(self) -> None:
        self.say("compiling for batches of 1, cold")
        worker = self._worker("ix")
        worker.ask("open", batch=1)
        self.say("compiling again, from the cache")
        worker.ask("again", batch=1)
        self.say("compiling for batches of 8")
        worker.ask("open", batch=8)
        worker.ask("again", batch=8)
        self.workers["ix"] = worker

    def _open(self, runtime: str) -> None:
        """Starts a runtime; an optional one that fails is skipped with its reason."""
        for package in _PACKAGES.get(runtime, ()):
            if importlib.util.find_spec(package) is None:
                self.skipped[runtime] = f"the package {package} is not installed"
                return
        self.say(f"opening {runtime}")
        try:
            worker = self._worker(runtime)
            for batch in BATCHES:
                worker.ask("open", batch=batch)
        except IxError as error:
            if runtime not in _PACKAGES:
                raise
            self.skipped[runtime] = str(error).splitlines()[0][:160]
            return
        self.workers[runtime] = worker

    def _embedded(self, worker: Worker, batch: int, count: int = 0) -> np.ndarray:
        """The vectors of the first `count` sentences, by default of all."""
        output = self.folder / f"{worker.runtime}-{batch}.npy"
        worker.ask("embed", batch=batch, count=count, output=str(output))
        rows: np.ndarray = np.load(output, allow_pickle=False)
        return rows

    def _checks(self, exact: np.ndarray) -> dict[str, dict[str, Any]]:
        """The difference of each runtime from the reference.

        Every sentence goes through both programs of ix, the first ones through the
        other runtimes.
        """
        self.say("checking every embedding against the reference")
        found = {}
        for name, worker in self.workers.items():
            if name == "ix":
                parts = [self._embedded(worker, batch) for batch in BATCHES]
                self.vectors = parts[0]
            else:
                parts = [self._embedded(worker, CHUNK, CHUNK)]
            rows = np.stack(parts)
            found[name] = compared(rows, exact[: rows.shape[1]])
        return found

    def _times(self) -> dict[str, dict[str, Any]]:
        """Latencies: the runtimes take turns, so a slow spell meets all of them."""
        times: dict[tuple[str, int], list[float]] = {}
        for turn in range(self.settings.rounds):
            for batch in BATCHES:
                for name, worker in self.workers.items():
                    self.say(
                        f"measuring {name}, batches of {batch}, round {turn + 1} of "
                        f"{self.settings.rounds}"
                    )
                    time.sleep(0.02)  # threads that wait by spinning go to sleep
                    found = worker.ask(
                        "measure", batch=batch, seconds=self.settings.seconds
                    )
                    times.setdefault((name, batch), []).extend(found)
        return {
            name: {f"b{batch}": latency(times[name, batch], batch) for batch in BATCHES}
            for name in self.workers
        }

    def _ranking(self) -> list[dict[str, Any]]:
        scores = self.vectors[1:] @ self.vectors[0]
        order = np.argsort(-scores, kind="stable")
        return [
            {"similarity": float(scores[at]), "sentence": self.settings.sentences[at]}
            for at in order
        ]


def compared(rows: np.ndarray, exact: np.ndarray) -> dict[str, Any]:
    """How far rows[…, n, d] are from unit vectors exact[n, d].

    A NaN, or a vector that is not of unit length, is as wrong as a wrong direction.
    """
    got = rows.astype(np.float64)
    lengths = np.linalg.norm(got, axis=-1)
    with np.errstate(all="ignore"):
        cosine = float(((got * exact).sum(-1) / lengths).min())
    difference = float(np.abs(got - exact).max())
    right = cosine >= LEAST_COSINE and difference <= 1e-3
    return {"cosine_min": cosine, "difference_max": difference, "right": right}


def latency(times_ms: list[float], batch: int) -> dict[str, float]:
    """Percentiles in milliseconds, and sentences in a second."""
    return {
        "calls": len(times_ms),
        **{f"p{percent}_ms": percentile(times_ms, percent) for percent in (50, 95, 99)},
        "sentences_per_s": batch * len(times_ms) / sum(times_ms) * 1e3,
    }

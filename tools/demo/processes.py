"""The parent's side of `worker.py`: start, ask, stop."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from ix.errors import RuntimeFailure

__all__ = ["Worker"]

# Each library counts its threads by another variable.
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


class Worker:
    """A runtime in a process of its own.

    Args:
        runtime: Its name in `runtimes.RUNTIMES`.
        threads: Threads of one call.
        data: The .npz file of tokens and mask.
        folder: Gets what the process prints, and its part of the cache.

    Raises:
        RuntimeFailure: From any method: the runtime fails, with its own words.
    """

    def __init__(self, runtime: str, threads: int, data: Path, folder: Path) -> None:
        self.runtime = runtime
        self._log = (folder / f"{runtime}.log").open("w+")
        environment = {
            **os.environ,
            **dict.fromkeys(_THREADS, str(threads)),
            "IX_CACHE_DIR": str(folder / "cache"),  # so that the first compile is cold
            "IX_CACHE": "1",
            "TOKENIZERS_PARALLELISM": "false",
        }
        self._process = subprocess.Popen(
            [sys.executable, "-m", "ix.tools.demo.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            env=environment,
        )
        try:
            self.ask("start", runtime=runtime, threads=threads, data=str(data))
        except BaseException:
            self.close()
            raise

    def ask(self, call: str, **arguments: Any) -> Any:
        """Sends a request and waits for its reply."""
        self.send(call, **arguments)
        return self.receive()

    def send(self, call: str, **arguments: Any) -> None:
        """Sends a request; `receive` gives its reply."""
        assert self._process.stdin is not None
        try:
            print(
                json.dumps({"call": call, **arguments}),
                file=self._process.stdin,
                flush=True,
            )
        except BrokenPipeError:
            raise self._died() from None

    def receive(self) -> Any:
        """Waits for the reply to the oldest request."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise self._died()
        reply = json.loads(line)
        if "error" in reply:
            raise RuntimeFailure(f"{self.runtime} fails: {reply['error']}")
        return reply["ok"]

    def _died(self) -> RuntimeFailure:
        self._process.wait()
        self._log.seek(0)
        last = (self._log.read().strip().splitlines() or ["it printed nothing"])[-1]
        return RuntimeFailure(
            f"{self.runtime} ended with status {self._process.returncode}: {last}"
        )

    def close(self) -> None:
        """Ends the process."""
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                with contextlib.suppress(BrokenPipeError):  # it has died already
                    stream.close()
        try:
            self._process.wait(timeout=2)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._log.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

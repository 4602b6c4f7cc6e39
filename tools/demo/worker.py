"""One runtime in a process of its own: requests on standard input, replies on output.

A request is a line of JSON, {"call": …}; its arrays lie in a .npz file that is named in
the first request. A reply is a line of JSON, {"ok": …} or {"error": "…"}.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from ix.errors import IxError
from ix.tools.demo.runtimes import RUNTIMES, Embed, IxRuntime
from ix.tools.demo.sentences import batches

__all__ = ["main"]

WARM_UP_BELOW_S = 0.5


class _Server:
    """Answers the requests about one runtime."""

    def __init__(self, runtime: str, threads: int, data: str) -> None:
        arrays = np.load(data, allow_pickle=False)
        self.tokens, self.mask = arrays["tokens"], arrays["mask"]
        self.runtime = RUNTIMES[runtime](threads, self.tokens.shape[1])
        self.embeds: dict[int, Embed] = {}
        self.call_s: dict[int, float] = {}

    def open(self, batch: int) -> None:
        """Opens the model for a batch size and calls it once."""
        self.embeds[batch] = self.runtime.open(batch)
        start = time.perf_counter()
        self.embeds[batch](*self._first(batch))
        self.call_s[batch] = time.perf_counter() - start

    def again(self, batch: int) -> None:
        """Compiles once more."""
        assert isinstance(self.runtime, IxRuntime)
        self.runtime.compile_again(batch)

    def save(self, folder: str, batch: int) -> list[str]:
        """Writes the executable and its imported program."""
        assert isinstance(self.runtime, IxRuntime)
        return self.runtime.save(Path(folder), batch)

    def embed(self, batch: int, count: int, output: str) -> None:
        """Embeds `count` sentences (0: all) and writes the rows to a .npy file."""
        tokens = self.tokens[: count or None]
        mask = self.mask[: count or None]
        rows = [
            self.embeds[batch](*pair)
            for pair in zip(batches(tokens, batch), batches(mask, batch), strict=True)
        ]
        np.save(output, np.concatenate(rows)[: len(tokens)])

    def measure(self, batch: int, seconds: float) -> list[float]:
        """Milliseconds of calls, one after the other: at least one."""
        embed, arguments = self.embeds[batch], self._first(batch)
        times: list[float] = []
        if self.call_s[batch] < WARM_UP_BELOW_S:  # the caches are another process's
            embed(*arguments)
        end = time.perf_counter() + seconds
        while not times or time.perf_counter() < end:
            start = time.perf_counter()
            embed(*arguments)
            times.append((time.perf_counter() - start) * 1e3)
        return times

    def facts(self) -> dict[str, Any]:
        """What the runtime says about itself."""
        return self.runtime.facts()

    def _first(self, batch: int) -> tuple[np.ndarray, np.ndarray]:
        """The first batch, every token kept: the work of `length` tokens."""
        tokens = batches(self.tokens, batch)[0]
        return tokens, np.ones_like(tokens)


def main() -> int:
    """Serves until standard input ends."""
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a library prints is no reply
    server: _Server | None = None
    for line in sys.stdin:
        request = json.loads(line)
        call = request.pop("call")
        try:
            if call == "start":
                server = _Server(**request)
                result: Any = None
            else:
                result = getattr(server, call)(**request)
            reply = {"ok": result}
        except (IxError, ImportError) as error:
            reply = {"error": str(error)}
        except Exception as error:  # of another library: the report names it
            reply = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(reply), file=replies, flush=True)
    return 0


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt, BrokenPipeError):
        sys.exit(main())

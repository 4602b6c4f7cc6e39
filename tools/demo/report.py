"""What the demo found, as text; and the line that says what it does meanwhile."""

from __future__ import annotations

import os
import sys
from typing import Any, TextIO

__all__ = ["Progress", "report"]

_TITLES = {
    "ix": "ix",
    "numpy": "NumPy",
    "pytorch": "PyTorch eager",
    "onnxruntime": "ONNX Runtime",
}


class Progress:
    """One line that is overwritten on a terminal; a line a step anywhere else."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self.stream = stream or sys.stderr
        dumb = os.environ.get("TERM") == "dumb" or bool(os.environ.get("CI"))
        self.overwrites = self.stream.isatty() and not dumb
        self._said: set[str] = set()

    def __call__(self, text: str) -> None:
        if self.overwrites:
            print(f"\r\x1b[K{text} …", end="", file=self.stream, flush=True)
            return
        step = text.partition(", round")[0]
        if step not in self._said:  # one line for all rounds
            print(f"{step} …", file=self.stream, flush=True)
        self._said.add(step)

    def clear(self) -> None:
        """Removes the line from a terminal."""
        if self.overwrites:
            print("\r\x1b[K", end="", file=self.stream, flush=True)


def report(found: dict[str, Any]) -> str:
    """The whole report."""
    sections = [
        _ranking(found),
        _speed(found),
        _correctness(found),
        _program(found),
        _next_steps(found),
    ]
    return "\n\n".join("\n".join(lines) for lines in sections)


def _ranking(found: dict[str, Any]) -> list[str]:
    lines = [f"Similarity to “{found['query']}”"]
    lines += [
        f"  {each['similarity']:6.3f}  {each['sentence']}"
        for each in found["ranking"][:20]
    ]
    if len(found["ranking"]) > 20:
        lines.append(f"  and {len(found['ranking']) - 20} more")
    return lines


def _speed(found: dict[str, Any]) -> list[str]:
    threads = found["threads"]
    lines = [
        f"Latency in ms, {found['tokens']} tokens a sentence, {threads} "
        f"thread{'s' * (threads != 1)} each",
        f"  {'':<15}{'batch':>6}{'P50':>9}{'P95':>9}{'P99':>9}{'calls':>7}"
        f"{'sentences/s':>13}{'ix is':>14}",
    ]
    for batch in ("b1", "b8"):
        own = found["runtimes"]["ix"][batch]["p50_ms"]
        for name, facts in found["runtimes"].items():
            t = facts[batch]
            ratio = "" if name == "ix" else _ratio(t["p50_ms"] / own)
            lines.append(
                f"  {_TITLES[name]:<15}{batch[1:]:>6}{t['p50_ms']:>9.2f}"
                f"{t['p95_ms']:>9.2f}{t['p99_ms']:>9.2f}{t['calls']:>7}"
                f"{t['sentences_per_s']:>13.1f}{ratio:>14}"
            )
    lines += [
        f"  {_TITLES[name]} is left out: {reason}"
        for name, reason in found["skipped"].items()
    ]
    return lines


def _ratio(times: float) -> str:
    return f"{times:.2f}× faster" if times >= 1 else f"{1 / times:.2f}× slower"


def _correctness(found: dict[str, Any]) -> list[str]:
    lines = ["Against the same model in float64, all sentences"]
    for name, facts in found["runtimes"].items():
        verdict = "ok" if facts["right"] else "WRONG"
        lines.append(
            f"  {_TITLES[name]:<15} least cosine {facts['cosine_min']:.9f}, largest "
            f"difference {facts['difference_max']:.2e}: {verdict}"
        )
    return lines


def _program(found: dict[str, Any]) -> list[str]:
    lines = [f"The compiled program ({found['target']})"]
    for name, facts in found["programs"].items():
        sizes = ", ".join(
            f"{kind} {size / 2**20:.2f} MiB"
            for kind, size in facts["memory_bytes"].items()
        )
        lines += [
            f"  batch {name[1:]}: {facts['launches']} launches of {facts['kernels']} "
            f"kernels, {facts['gflop']:.2f} GFLOP; {sizes}",
            f"           compiled in {facts['compile_cold_s']:.2f} s, from the cache "
            f"in {facts['compile_cached_s']:.2f} s",
        ]
    return lines


def _next_steps(found: dict[str, Any]) -> list[str]:
    if not found["saved"]:
        return [
            "Next",
            "  ix demo --save FOLDER",
            "      keeps the program, for ix explain, ix bench and ix-opt",
        ]
    saved, text = found["saved"]
    return [
        "Next",
        f"  ix explain {saved}",
        "      the kernels, the memory, and why ops were fused or not",
        f"  ix bench {saved} --dump-profile",
        "      where the time goes",
        f"  ix-opt {text} --stage=graph",
        "      what the graph passes made of it; also --stage=linalg, --stage=schedule",
    ]

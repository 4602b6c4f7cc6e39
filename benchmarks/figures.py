"""Writes the measured figures into README.md, between its markers.

    python benchmarks/figures.py

Reads what `cpu.py` and `overheads.py` wrote to results/: every row, in its order.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
from cpu import MINILM  # beside this file
from works import WORKS

HERE = Path(__file__).parent
BEGIN, END = "<!-- figures -->\n", "<!-- /figures -->\n"
CORES = {
    ("25", "17"): "Zen 4",
    ("26", "2"): "Zen 5",
    ("6", "167"): "AVX-512, AMX; model 167 in a virtual machine's words",
}
"""Cores by family and model. Source: Linux, arch/x86/kernel/cpu/amd.c."""


def figures(path: Path) -> dict[str, Any]:
    """The facts and rows of one file of results."""
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def introduction(facts: dict[str, Any], rows: list[dict[str, Any]]) -> str:
    """Where, when and how; how many goals are met."""
    _, family, model, name = (each.strip() for each in facts["processor"].split(","))
    core = CORES.get((family, model), f"family {family}, model {model}")
    missed = sum(row["verdict"] != "met" for row in rows)
    repeated = {row["work"]: row["repeated_slices"] for row in rows}
    disturbed = {row["work"]: row["disturbed_slices"] for row in rows}
    zen4 = figures(HERE / "results" / "cpu_zen4.json")["rows"]
    zen4_met = sum(row["verdict"] == "met" for row in zen4)
    return (
        f"{name} ({core}), {facts['cores']} cores of a shared virtual machine, "
        f"2 threads, f32, {facts['date']}; medians of {rows[0]['rounds']} alternating\n"
        f"slices of {rows[0]['slice_s']} s, each library in a process of its own, "
        "every result checked against float64 in the same run\n"
        "(`benchmarks/cpu.py`, [all figures](benchmarks/results/cpu.json)). "
        "Every row\nthat was timed is listed, lost ones too: "
        f"{len(rows) - missed} of {len(rows)} met, {missed} missed.\n"
        f"{sum(repeated.values())} slices were timed again because other processes "
        f"used the processors meanwhile; {sum(disturbed.values())} stayed disturbed.\n"
        "Trust the ratios, not the times. Other processors, each with ix as it was "
        "then: Zen 4, without AMX\n"
        f"([{zen4_met} of {len(zen4)} met](benchmarks/results/cpu_zen4.json)), "
        "and Zen 5 ([its figures](benchmarks/results/cpu_zen5.json)). "
        f"Not measured: {_unmeasured(rows)}Arm processors.\n"
    )


def _unmeasured(rows: list[dict[str, Any]]) -> str:
    """How many works of `cpu.py` have no row, by the first word of their names."""
    done = {row["work"] for row in rows}
    left = Counter(name.split()[0] for name in [*MINILM, *WORKS] if name not in done)
    return "".join(f"{count} works named {word}, " for word, count in left.items())


def peer_table(rows: list[dict[str, Any]]) -> str:
    """A line for each work and peer."""
    lines = [
        "| work | peer | ix | peer's time | ratio | goal | |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        times = [_three(row.get(f"{who}_ms")) for who in ("ix", "peer")]
        ratio = f"{row['ratio']:.2f}×" if "ratio" in row else "–"
        cells = [row["work"], row["peer"], *times, ratio]
        lines.append(
            f"| {' | '.join(cells)} | {row['goal']}× | {_marked(row['verdict'])} |"
        )
    return "\n".join(lines) + "\n"


def overhead_table(rows: list[dict[str, Any]]) -> str:
    """A line for each figure of `overheads.py`."""
    lines = ["| MiniLM-L6 b1 s128 | ix | at most | |", "|---|---|---|---|"]
    for row in rows:
        goal = "–" if row["goal"] is None else f"{row['goal']:.3g} {row['unit']}"
        value = f"{row['value']:.3g} {row['unit']}"
        lines.append(
            f"| {row['figure']} | {value} | {goal} | {_marked(row['verdict'])} |"
        )
    return "\n".join(lines) + "\n"


def _three(milliseconds: float | None) -> str:
    return "–" if milliseconds is None else f"{milliseconds:.3g} ms"


def _marked(verdict: str) -> str:
    return f"**{verdict}**" if verdict == "missed" else verdict


def main() -> None:
    peers = figures(HERE / "results" / "cpu.json")
    overheads = figures(HERE / "results" / "overheads.json")
    readme = HERE.parent / "README.md"
    before, _, rest = readme.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    text = "\n".join(
        (
            introduction(peers["machine"], peers["rows"]),
            peer_table(peers["rows"]),
            f"What comes around the kernels (`benchmarks/overheads.py`; medians of "
            f"fresh processes, the cold compile with an empty cache).\n"
            f"{overheads['disturbed_processes']} of {overheads['processes']} processes "
            f"ran while others used the processors (load "
            f"{overheads['machine']['load']:.0f} on {overheads['machine']['cores']}); "
            "theirs are upper bounds.\n",
            overhead_table(overheads["rows"]),
        )
    )
    readme.write_text(before + BEGIN + text + END + after)


if __name__ == "__main__":
    main()

"""The reports of --mlir-timing and --mlir-pass-statistics."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ix.passes.instrumentation import Timer

__all__ = ["statistics_report", "timing_report"]

_WIDTH = 79


def timing_report(total: Timer, display: str) -> str:
    """The times of a run as text.

    Args:
        total: The timer of everything; its children are the phases and passes.
        display: `tree` nests the passes as the pipeline does; `list` adds up equal
            names, the longest first.
    """
    seconds = sum(child.seconds for child in total.children.values())
    lines = [
        *_title("Execution time report"),
        f"  Total Execution Time: {seconds:.4f} seconds",
        "",
        "  ----Wall Time----  ----Name----",
    ]
    rows = _listed(total) if display == "list" else _tree(total, 0)
    for spent, name in [*rows, (seconds, "Total")]:
        percent = 100.0 * spent / seconds if seconds else 0.0
        lines.append(f"  {spent:8.4f} ({percent:5.1f}%)  {name}")
    return "\n".join(lines) + "\n"


def statistics_report(op_counts: Sequence[tuple[str, int, int]]) -> str:
    """What each pass did to the number of ops: name, ops before, ops after.

    The statistics of upstream passes themselves are compiled out of the bindings.
    """
    lines = [
        *_title("Pass statistics report"),
        "  ----Ops before → after----  ----Name----",
    ]
    lines += [
        f"  {before:10} → {after:<6} ({after - before:+})".ljust(30) + name
        for name, before, after in op_counts
    ]
    return "\n".join(lines) + "\n"


def _title(text: str) -> list[str]:
    rule = f"===-{'-' * (_WIDTH - 8)}-==="
    return [rule, f"... {text} ...".center(_WIDTH).rstrip(), rule]


def _tree(timer: Timer, depth: int) -> Iterator[tuple[float, str]]:
    for child in timer.children.values():
        yield child.seconds, "  " * depth + child.name
        yield from _tree(child, depth + 1)


def _listed(timer: Timer) -> list[tuple[float, str]]:
    """Names with the time spent in them, without groups, the longest first."""
    spent: dict[str, float] = {}
    pending = list(timer.children.values())
    while pending:
        current = pending.pop(0)
        if current.children:
            pending += current.children.values()
        else:
            spent[current.name] = spent.get(current.name, 0.0) + current.seconds
    return sorted(((t, name) for name, t in spent.items()), reverse=True)

"""What can be watched while passes run: IR dumps, times, verification, reproducers."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

from ix.mlir import ir

__all__ = ["ALL", "Instrumentation", "Timer", "printed", "reproducer_text"]

ALL = frozenset({"*"})
"""Stands for every pass in `print_before` and `print_after`."""


@dataclass
class Timer:
    """The time one pass took, and what ran inside it.

    Args:
        name: The pass, or the kind of op that passes ran on.
        seconds: Wall time.
        children: The timers of nested passes, in order.
    """

    name: str
    seconds: float = 0.0
    children: list[Timer] = field(default_factory=list)


@dataclass
class Instrumentation:
    """Watches a run of passes; each hook is called by the driver.

    Args:
        verify_each: Verify the IR after each pass.
        print_before, print_after: Names of passes to dump the IR around, or `ALL`.
        only_changes: Dump after a pass only if it changed the IR.
        only_failures: Dump after a pass only if it failed.
        module_scope: Dump the whole module even where a pass runs on a part of it.
        print_options: Keyword arguments of `ir.Operation.print`.
        tree_dir: Write the dumps to files below this folder instead of the stream.
        statistics: Let upstream passes print their statistics.
        reproducer: Where the module and the pipeline are written if a pass fails.
        stream: Where dumps go; standard error by default.
    """

    verify_each: bool = True
    print_before: frozenset[str] = frozenset()
    print_after: frozenset[str] = frozenset()
    only_changes: bool = False
    only_failures: bool = False
    module_scope: bool = False
    print_options: Mapping[str, Any] = field(default_factory=dict)
    tree_dir: Path | None = None
    statistics: bool = False
    reproducer: Path | None = None
    stream: TextIO | None = None
    timer: Timer = field(default_factory=lambda: Timer("Total"))
    failed_pass: str = ""
    _open: list[tuple[Timer, float, str]] = field(default_factory=list)
    _numbers: dict[str, int] = field(default_factory=dict)

    def start(self, module: Any, pipeline: str) -> None:
        """Called once before the first pass."""
        if self.reproducer is not None:
            # Written ahead: a crash of the process leaves no time to write it.
            self.reproducer.write_text(
                reproducer_text(module, pipeline, self.verify_each), encoding="utf-8"
            )

    def finish(self) -> None:
        """Called once after the last pass, if none failed."""
        if self.reproducer is not None:
            self.reproducer.unlink(missing_ok=True)

    def before(self, text: str, op: Any) -> None:
        """Called before a pass; `text` is the pass with its options."""
        self._dump("Before", text, op, self.print_before)
        watches_change = self.only_changes and _selects(self.print_after, text)
        shown = printed(op) if watches_change else ""
        timer = Timer(text)
        parent = self._open[-1][0] if self._open else self.timer
        parent.children.append(timer)
        self._open.append((timer, time.perf_counter(), shown))

    def after(self, text: str, op: Any) -> None:
        """Called after a pass that succeeded."""
        timer, started, shown = self._open.pop()
        timer.seconds = time.perf_counter() - started
        if not self._open:
            self.timer.seconds += timer.seconds
        if self.only_failures or (self.only_changes and shown == printed(op)):
            return
        self._dump("After", text, op, self.print_after)

    def failed(self, text: str, op: Any) -> None:
        """Called after a pass that raised; the op may be invalid."""
        self.failed_pass = self.failed_pass or text
        self._open.clear()
        if self.only_failures or _selects(self.print_after, text):
            self._dump("After", text, op, ALL, " Failed")

    def _dump(
        self, when: str, text: str, op: Any, selected: frozenset[str], note: str = ""
    ) -> None:
        if not _selects(selected, text):
            return
        name = text.partition("{")[0]
        shown, scope = op.operation, ""
        if self.module_scope and shown.parent is not None:
            scope = f" ('{shown.name}' operation{_symbol(shown, ': @')})"
            while shown.parent is not None:
                shown = shown.parent.operation
        head = f"// -----// IR Dump {when} {name}{note}{scope} //----- //\n"
        body = head + printed(shown, **self.print_options) + "\n"
        if self.tree_dir is None:
            (self.stream or sys.stderr).write(body)
        else:
            path = self._tree_path(name, op.operation)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(body, encoding="utf-8")

    def _tree_path(self, name: str, op: Any) -> Path:
        """`<op>/<nested op>/<number>_<pass>.mlir`, numbered by run within the op."""
        parts: list[str] = []
        while op is not None:
            op = op.operation
            part = op.name.replace(".", "_") + (_symbol(op, "_") or "_no-symbol-name")
            parts.insert(0, part)
            op = op.parent
        folder = "/".join(parts)
        number = self._numbers.get(folder, 0)
        self._numbers[folder] = number + 1
        assert self.tree_dir is not None
        return self.tree_dir / folder / f"{number}_{name}.mlir"


def printed(op: Any, **options: Any) -> str:
    """The text of an op, in generic form where it does not verify."""
    return str(op.operation.get_asm(**options)).rstrip("\n")


def reproducer_text(module: Any, pipeline: str, verify_each: bool = True) -> str:
    """A module and a pipeline in one file, for `ix-opt --run-reproducer`."""
    escaped = pipeline.replace("\\", "\\\\").replace('"', '\\"')
    return (
        f"{printed(module, enable_debug_info=True)}\n\n"
        "{-#\n  external_resources: {\n    mlir_reproducer: {\n"
        f'      pipeline: "{escaped}",\n'
        "      disable_threading: true,\n"
        f"      verify_each: {str(verify_each).lower()}\n"
        "    }\n  }\n#-}\n"
    )


def _selects(selected: frozenset[str], text: str) -> bool:
    return "*" in selected or text.partition("{")[0] in selected


def _symbol(op: Any, prefix: str) -> str:
    """The op's symbol name after `prefix`, or nothing."""
    if "sym_name" not in op.attributes:
        return ""
    return prefix + ir.StringAttr(op.attributes["sym_name"]).value

"""What can be watched while passes run: IR dumps, times, verification, reproducers."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

from ix.mlir import ir
from ix.passes.pipeline_text import Anchor, Leaf

__all__ = ["ALL", "Instrumentation", "Timer", "printed", "reproducer_text"]

ALL = frozenset({"*"})
"""Stands for every pass in `print_before` and `print_after`."""


@dataclass
class Timer:
    """The time one pass took, and what ran inside it.

    Args:
        name: The pass, or the kind of op that passes ran on.
        seconds: Wall time, all runs of it together.
        children: The timers of what ran inside, in order, by the place in the pipeline.
    """

    name: str
    seconds: float = 0.0
    children: dict[object, Timer] = field(default_factory=dict)

    @contextmanager
    def measure(self, key: object, name: str) -> Iterator[Timer]:
        """Adds the time of a `with` block to the child of this key."""
        child = self.children.setdefault(key, Timer(name))
        started = time.perf_counter()
        try:
            yield child
        finally:
            child.seconds += time.perf_counter() - started


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
        count_ops: Count the ops before and after each pass, into `op_counts`.
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
    count_ops: bool = False
    reproducer: Path | None = None
    stream: TextIO | None = None
    timer: Timer = field(default_factory=lambda: Timer("Total"))
    failed_pass: str = ""
    op_counts: list[tuple[str, int, int]] = field(default_factory=list)
    _timers: list[Timer] = field(default_factory=list)
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

    @contextmanager
    def group(self, node: Anchor) -> Iterator[None]:
        """Surrounds the passes that run on ops nested in the current one."""
        with self._measure(node, f"'{node.op_name}' Pipeline"):
            yield

    @contextmanager
    def watch(self, node: Leaf, op: Any) -> Iterator[None]:
        """Surrounds one pass on one op: dumps, times and what the reproducer needs."""
        self._dump("Before", node, op, self.print_before)
        compares = self.only_changes and _selects(self.print_after, node)
        shown = printed(op) if compares else ""
        ops = _count(op) if self.count_ops else 0
        try:
            with self._measure(node, str(node)):
                yield
        except BaseException:
            self.failed_pass = str(node)
            if self.only_failures or _selects(self.print_after, node):
                self._dump("After", node, op, ALL, " Failed")
            raise
        if self.count_ops:
            self.op_counts.append((str(node), ops, _count(op)))
        if not self.only_failures and not (compares and shown == printed(op)):
            self._dump("After", node, op, self.print_after)

    @contextmanager
    def _measure(self, node: Anchor | Leaf, name: str) -> Iterator[None]:
        parent = self._timers[-1] if self._timers else self.timer
        with parent.measure(id(node), name) as timer:
            self._timers.append(timer)
            try:
                yield
            finally:
                self._timers.pop()

    def _dump(
        self, when: str, node: Leaf, op: Any, selected: frozenset[str], note: str = ""
    ) -> None:
        if not _selects(selected, node):
            return
        shown, scope = op.operation, ""
        if self.module_scope and shown.parent is not None:
            scope = f" ('{shown.name}' operation{_symbol(shown, ': @')})"
            while shown.parent is not None:
                shown = shown.parent.operation
        head = f"// -----// IR Dump {when} {node.name}{note}{scope} //----- //\n"
        body = head + printed(shown, **self.print_options) + "\n"
        if self.tree_dir is None:
            (self.stream or sys.stderr).write(body)
        else:
            path = self._tree_path(node.name, op.operation)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(body, encoding="utf-8")

    def _tree_path(self, name: str, op: Any) -> Path:
        """`<op>/<nested op>/<number>_<pass>.mlir`, numbered by run within the op."""
        parts: list[str] = []
        while op is not None:
            op = op.operation
            part = op.name.replace(".", "_") + (_symbol(op, "_") or "_no-symbol-name")
            # A symbol may hold any character, a path separator too.
            parts.insert(0, re.sub(r"[^\w-]", "_", part))
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


def _count(root: Any) -> int:
    """The number of ops inside `root`."""
    count = 0

    def visit(op: Any) -> ir.WalkResult:
        nonlocal count
        count += 1
        return ir.WalkResult.ADVANCE

    root.operation.walk(visit)
    return count - 1


def _selects(selected: frozenset[str], node: Leaf) -> bool:
    return "*" in selected or node.name in selected


def _symbol(op: Any, prefix: str) -> str:
    """The op's symbol name after `prefix`, or nothing."""
    if "sym_name" not in op.attributes:
        return ""
    return prefix + ir.StringAttr(op.attributes["sym_name"]).value

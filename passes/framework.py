"""How a pass is written.

A pattern pass, from functions that give an op's replacement or None:

    @pattern(ix.TransposeOp)
    def cancel_inverse_transposes(op: ix.TransposeOp) -> ir.Value | None: ...

    fold_transpose = rewrite_pass("ix-fold-transpose", [cancel_inverse_transposes])

A module pass, whose keyword-only parameters are its options:

    @module_pass("ix-check-tile")
    def check_tile(module: ir.OpView, *, tile: int = 4) -> None: ...

The file `passes/<stage>/check_tile.py` defines `check_tile`, named `ix-check-tile`:
that is how `ix-opt` finds it.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ix.passes.definition import Option, Pass, options_of
from ix.passes.driver import run_passes
from ix.passes.greedy import Pattern, Rewriter, apply_patterns, pattern
from ix.passes.instrumentation import Instrumentation

__all__ = [
    "Instrumentation",
    "Option",
    "Pass",
    "Pattern",
    "Rewriter",
    "Stage",
    "apply_patterns",
    "module_pass",
    "pattern",
    "rewrite_pass",
    "run_passes",
]


@dataclass(frozen=True)
class Stage:
    """A part of the pipeline between two forms of the program.

    Args:
        name: What `ix-opt --stage` and `Lowered.as_text` call the form it ends in.
        summary: `<form in> → <form out>: <what is gained>`.
        passes: Passes in order; a string is a fragment of an upstream pipeline.
        kind: The kind of target that has the stage, "cpu" or "cuda"; "" for all.
        text: What to show instead of the module, where that is no IR any more.
    """

    name: str
    summary: str
    passes: Sequence[Pass | str] = ()
    kind: str = ""
    text: Callable[[Any], str] | None = None

    def run(self, module: Any, instrument: Instrumentation | None = None) -> None:
        """Runs the stage's passes on a module."""
        run_passes(module, self.passes, instrument=instrument)

    def show(self, module: Any) -> str:
        """What a module is after the stage, to read."""
        return str(module) if self.text is None else self.text(module)


def rewrite_pass(
    name: str, patterns: Sequence[Pattern], *, summary: str | None = None
) -> Pass:
    """A pass that applies patterns until none matches.

    The summary is that of the file: the first line of its docstring, without the name.
    """
    if summary is None:
        document = sys._getframe(1).f_globals.get("__doc__") or ""
        summary = _first_sentence(document).removeprefix(f"{name}: ")

    def apply(module: Any) -> None:
        apply_patterns(module, patterns)

    return Pass(name, apply, summary)


def module_pass(name: str) -> Callable[[Callable[..., None]], Pass]:
    """Makes a pass of a function over a module.

    Keyword-only parameters are the options: int, float, str, bool or lists of them.
    The function gets the op's own class (`builtin.ModuleOp`, with `body`) and runs
    inside its context and location. It changes the op in place, or raises.

    Raises:
        TypeError: An option has no default, or a type that a pipeline cannot write.
    """

    def decorate(function: Callable[..., None]) -> Pass:
        summary = _first_sentence(inspect.getdoc(function) or "")
        return Pass(name, function, summary, options_of(function))

    return decorate


def _first_sentence(document: str) -> str:
    """The first paragraph of a docstring as one line."""
    return " ".join(document.strip().partition("\n\n")[0].split())

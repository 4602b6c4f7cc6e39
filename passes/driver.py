"""Runs passes: ix passes and upstream ones, in any order and at any nesting.

A module may name ix passes that are left out wherever they stand in a pipeline:
`ix.skip = ["ix-fold-constants"]`. It belongs to the text, so a dump replays the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby
from typing import Any

from ix.errors import CompileError, InputError, place_of
from ix.mlir import PassManager, ir
from ix.passes.definition import Pass
from ix.passes.instrumentation import Instrumentation
from ix.passes.pipeline_text import Leaf, Node, join, parse_pipeline
from ix.passes.registry import resolve_pass

__all__ = ["nodes_of", "run_nodes", "run_passes"]


def run_passes(
    module: Any,
    passes: Iterable[Pass | str],
    *,
    instrument: Instrumentation | None = None,
) -> None:
    """Runs passes on a module, in place.

    Args:
        module: An `ir.Module`, or an operation that passes may run on.
        passes: Passes; a string is a fragment of a textual pipeline, such as `"cse"`
            or `"func.func(canonicalize,ix-tile{m=8})"`.
        instrument: What to watch. Without it the IR is verified once, at the end.

    Raises:
        CompileError: An upstream pass failed, or the IR that came out is invalid.
        InputError: There is no such pass or option.
        IxError: What an ix pass raises arrives as it is, with a note that names the
            pass.
    """
    run_nodes(module, nodes_of(passes), instrument)


def nodes_of(passes: Iterable[Pass | str]) -> tuple[Node, ...]:
    """The passes as a pipeline tree.

    Raises:
        InputError: A string is no pipeline, or an ix pass or option is unknown.
    """
    nodes: list[Node] = []
    for each in passes:
        if isinstance(each, Pass):
            nodes.append(Leaf(str(each), each))
        elif "ix-" in each or "(" in each:
            nodes.extend(parse_pipeline(each, resolve_pass))
        else:
            nodes.append(Leaf(each))
    return tuple(nodes)


def run_nodes(
    module: Any, nodes: Sequence[Node], instrument: Instrumentation | None = None
) -> None:
    """Runs a pipeline tree on a module; see `run_passes`."""
    op = module.operation
    with op.context:
        if instrument is None:
            _run_sequence(op, nodes)
            if nodes:  # an empty stage has changed nothing
                _verify(op, join(nodes))
            return
        instrument.start(module, f"{op.name}({join(nodes)})")
        _run_watched(op, nodes, instrument)
        instrument.finish()


def _run_sequence(op: Any, nodes: Sequence[Node]) -> None:
    """Runs nodes without watching: upstream neighbours share one pass manager."""
    for is_upstream, group in groupby(nodes, lambda node: node.is_upstream()):
        if is_upstream:
            _run_upstream(op, join(list(group)))
            continue
        for node in group:
            if isinstance(node, Leaf):
                with _named(str(node)):
                    _run_python(op, node)
                continue
            for inner in _ops_directly_in(op, node.op_name):
                _run_sequence(inner, node.children)


def _run_watched(op: Any, nodes: Sequence[Node], instrument: Instrumentation) -> None:
    """Runs nodes one pass at a time, each under the eyes of `instrument`."""
    for node in nodes:
        if not isinstance(node, Leaf):
            with instrument.group(node):
                for inner in _ops_directly_in(op, node.op_name):
                    _run_watched(inner, node.children, instrument)
            continue
        with instrument.watch(node, op), _named(str(node)):
            if node.is_upstream():
                _run_upstream(op, str(node))
            else:
                _run_python(op, node)
            if instrument.verify_each:
                _verify(op, str(node))


def _run_python(op: Any, node: Leaf) -> None:
    assert node.ix_pass is not None
    if node.ix_pass.name not in _skipped(op):
        node.ix_pass.run(op)


def _skipped(op: Any) -> list[str]:
    """The passes that `ix.skip` of the outermost op names."""
    root = op.operation
    while root.parent is not None:
        root = root.parent.operation
    if "ix.skip" not in root.attributes:
        return []
    return [
        ir.StringAttr(name).value for name in ir.ArrayAttr(root.attributes["ix.skip"])
    ]


def _run_upstream(op: Any, text: str) -> None:
    """Runs upstream passes on one op.

    Raises:
        InputError: There is no such pass, or it does not run on this kind of op.
        CompileError: A pass failed; the cause holds the diagnostics.
    """
    manager = PassManager(op.name)
    manager.enable_verifier(False)
    try:
        manager.add(text)
    except ValueError as error:
        raise InputError(f"cannot run '{text}': {str(error).strip()}") from None
    try:
        manager.run(op)
    except ir.MLIRError as error:
        raise CompileError(
            None, f"{_diagnostics(error)}pass '{text}' failed"
        ) from error


def _verify(op: Any, text: str) -> None:
    try:
        op.verify()
    except ir.MLIRError as error:
        message = f"{_diagnostics(error)}the IR is not valid after '{text}'"
        raise CompileError(None, message) from error


def _diagnostics(error: ir.MLIRError) -> str:
    """The diagnostics of an upstream failure, one a line, locations first."""
    lines: list[str] = []
    for each in error.error_diagnostics:
        # A diagnostic's location comes as the base class; its attribute knows better.
        place, source_op = place_of(ir.Location.from_attr(each.location.attr))
        lines.append(f"{place or source_op or '<unknown>'}: error: {each.message}\n")
    return "".join(lines)


def _ops_directly_in(op: Any, name: str) -> list[Any]:
    """The ops called `name` in the blocks of `op`; `any` is every isolated op."""
    return [
        inner.operation
        for region in op.regions
        for block in region
        for inner in block
        if inner.operation.name == name
        or (name == "any" and inner.operation.has_trait(ir.IsIsolatedFromAboveTrait))
    ]


@contextmanager
def _named(text: str) -> Iterator[None]:
    """Notes the pass on whatever is raised inside."""
    try:
        yield
    except Exception as error:
        error.add_note(f"while running the pass '{text}'")
        raise

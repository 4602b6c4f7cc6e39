"""The passes that an ix-opt command line asks for, checked before any of them runs."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from typing import Any

from ix.errors import InputError
from ix.mlir import PassManager
from ix.passes.driver import nodes_of
from ix.passes.framework import Stage
from ix.passes.pipeline_text import Anchor, Leaf, Node, parse_pipeline
from ix.passes.registry import resolve_pass
from ix.tools.ix_opt_arguments import pass_name_like
from ix.tools.ix_opt_lists import pass_names
from ix.tools.source_file import Chunk, reproduced_pipeline

__all__ = ["nodes_for", "pipeline_of", "stage_for"]


def pipeline_of(options: argparse.Namespace, chunk: Chunk) -> Anchor | None:
    """The pipeline to run on a chunk; None if no pass is asked for, or a stage.

    The anchor `any` stands for whatever the input's top op is.

    Raises:
        InputError: The pipeline is malformed, or names no pass or op.
    """
    if options.pass_pipeline is not None:
        return _anchored(options.pass_pipeline)
    if options.run_reproducer:
        text = reproduced_pipeline(chunk)
        if text is None:
            raise InputError("--run-reproducer needs a file that holds a pipeline")
        return _anchored(text)
    if options.passes:
        nodes = _parsed(",".join(options.passes))
        return Anchor("any", nodes)
    return None


def stage_for(name: str, op: Any) -> tuple[Sequence[Node], Stage]:
    """The passes of all stages up to one, and that stage.

    Raises:
        InputError: There is no such stage for the target that the input names.
    """
    # Imported here: it imports every pass, which other runs do not pay for.
    from ix.passes.pipeline import named_target, stages_through

    stages = stages_through(name, named_target(op))
    return nodes_of(each for stage in stages for each in stage.passes), stages[-1]


def nodes_for(pipeline: Anchor, op: Any) -> Sequence[Node]:
    """The pipeline's nodes, for the op they are to run on.

    Raises:
        InputError: The pipeline is for another kind of op, or names no pass.
    """
    if pipeline.op_name not in ("any", op.name):
        raise InputError(
            f"the pass pipeline is for '{pipeline.op_name}', but the input is "
            f"'{op.name}'"
        )
    _check(pipeline.children, op.name)
    return pipeline.children


def _anchored(text: str) -> Anchor:
    nodes = _parsed(text)
    if len(nodes) != 1 or not isinstance(nodes[0], Anchor):
        raise InputError(
            f"pass pipeline '{text}' needs an op around it, such as "
            f"builtin.module({text})"
        )
    return nodes[0]


def _parsed(text: str) -> tuple[Node, ...]:
    return parse_pipeline(text, resolve_pass)


def _check(nodes: Iterable[Node], anchor: str) -> None:
    """Raises for a pass that upstream does not know or cannot run on this op."""
    for node in nodes:
        if isinstance(node, Anchor):
            _check(node.children, node.op_name)
        elif node.is_upstream():
            _check_upstream(node, anchor)


def _check_upstream(node: Leaf, anchor: str) -> None:
    try:
        PassManager(anchor).add(str(node))
    except ValueError as error:
        if "does not refer to a registered pass" in str(error):
            raise InputError(pass_name_like(node.name, pass_names())) from None
        raise InputError(f"pass '{node}': {str(error).strip()}") from None

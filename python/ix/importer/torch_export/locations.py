"""Where a node of an FX graph comes from: its module and the user's line."""

from __future__ import annotations

import re
from typing import NamedTuple

from torch import fx

__all__ = ["Place", "place_of_node"]

_FRAME = re.compile(r'File "([^"]+)", line (\d+)')
_INDEX = re.compile(r"\['([^']+)'\]|\[(\d+)\]")


class Place(NamedTuple):
    """A source op: "encoder.layer.0/gelu", and where its line stands, if known."""

    name: str
    file: str
    line: int

    def __str__(self) -> str:
        at = f" ({self.file}:{self.line})" if self.file else ""
        return f"{self.name}{at}"


def place_of_node(node: fx.Node) -> Place:
    """The module path and op of a node, and the last frame of its stack trace."""
    frames = _FRAME.findall(node.meta.get("stack_trace") or "")
    file, line = frames[-1] if frames else ("", "0")
    return Place(f"{_module_path(node)}/{op_name(node)}".lstrip("/"), file, int(line))


def op_name(node: fx.Node) -> str:
    """`gelu` of `aten.gelu.default`; the node's own name where it calls no op."""
    if node.op != "call_function":
        return node.name
    return getattr(node.target, "_opname", getattr(node.target, "__name__", node.name))


def _module_path(node: fx.Node) -> str:
    stack = node.meta.get("nn_module_stack")
    if not stack:
        return ""
    path = list(stack.values())[-1][0]
    path = _INDEX.sub(lambda found: f".{found[1] or found[2]}", path)
    parts = [
        each for each in path.split(".") if each not in ("", "L", "self", "_modules")
    ]
    return ".".join(parts)

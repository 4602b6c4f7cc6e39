"""Asks rules in turn, and notes on the kernel's function what they answered.

ix.rule = "reduce"                                  the rule that made the code
ix.declined = [["tiled_matmul", "few-rows"], …]     the others, and ways of it
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from ix.mlir import ir
from ix.passes.schedule.kernel import Kernel
from ix.target import Target

__all__ = ["first_code", "note_declined", "rule_of"]


def first_code(
    kernel: Kernel,
    rules: Iterable[Callable[[Kernel, Target], Any]],
    target: Target,
    prefix: str = "",
) -> Any:
    """What the first rule makes that takes a kernel; None if none does.

    Args:
        rules: Functions; a rule is called like the module that it is in.
        prefix: What their names begin with.
    """
    for rule in rules:
        kernel.rule = prefix + rule.__module__.rpartition(".")[2]
        code = rule(kernel, target)
        if code is not None:
            attributes = kernel.function.operation.attributes
            with kernel.function.operation.context:
                attributes["ix.rule"] = ir.StringAttr.get(kernel.rule)
            note_declined(kernel)
            return code
    return None


def note_declined(kernel: Kernel) -> None:
    """Notes on the function what declined the kernel, after what was noted before."""
    function = kernel.function.operation
    declined = dict.fromkeys((*rule_of(function)[1], *kernel.declined))
    if not declined:
        return
    with function.context:
        pairs = [ir.ArrayAttr.get([*map(ir.StringAttr.get, p)]) for p in declined]
        function.attributes["ix.declined"] = ir.ArrayAttr.get(pairs)


def rule_of(function: Any) -> tuple[str, tuple[tuple[str, str], ...]]:
    """The rule that made a function's code, and (rule, code) of those that did not."""
    attributes = function.operation.attributes
    rule, declined = "", []
    if "ix.rule" in attributes:
        rule = ir.StringAttr(attributes["ix.rule"]).value
    if "ix.declined" in attributes:
        for pair in ir.ArrayAttr(attributes["ix.declined"]):
            name, code = (ir.StringAttr(text).value for text in ir.ArrayAttr(pair))
            declined.append((name, code))
    return rule, tuple(declined)

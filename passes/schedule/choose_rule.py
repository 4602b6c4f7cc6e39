"""Which rule makes the loops of a kernel: each is asked in turn.

`RULES` is the order; the last two take whatever the others leave.
"""

from __future__ import annotations

from typing import Any

from ix.errors import CompileError
from ix.passes.schedule.ask_rules import first_code
from ix.passes.schedule.kernel import Kernel, KernelCode
from ix.passes.schedule.rules import (
    attention,
    contraction,
    convolution,
    loop,
    reduce,
    row,
    scan,
    scatter,
    sort,
)
from ix.target import Target

__all__ = ["RULES", "loops_of"]

RULES = (
    attention.apply,
    contraction.apply,
    convolution.apply,
    scan.apply,
    scatter.apply,
    sort.apply,
    row.apply,
    loop.apply,
    reduce.apply,
)


def loops_of(function: Any, target: Target) -> KernelCode:
    """The loops of one kernel.

    Raises:
        CompileError: No rule takes the kernel.
    """
    kernel = Kernel(function)
    code: KernelCode | None = first_code(kernel, RULES, target)
    if code is not None:
        return code
    raise CompileError(
        function,
        f"needs a rule for kernels of family '{kernel.family}' on {target.name}, but "
        "none applies",
    )

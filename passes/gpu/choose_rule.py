"""Which rule makes the code of a GPU kernel: each is asked in turn.

`RULES` is the order. What they leave runs one work item a thread (`threads.py`).
"""

from __future__ import annotations

from typing import Any

from ix.errors import CompileError
from ix.passes.gpu.kernel import GpuCode
from ix.passes.gpu.rules import (
    attention,
    contraction,
    elementwise,
    long_sort,
    product_rows,
    scatter_chunks,
    scatter_rows,
    small_m,
    split_row,
    transpose,
)
from ix.passes.gpu.rules import reduce as thread_reduce
from ix.passes.gpu.rules import row as block_row
from ix.passes.gpu.rules import scan as warp_scan
from ix.passes.gpu.rules import sort as block_sort
from ix.passes.gpu.threads import threads_of
from ix.passes.schedule.ask_rules import first_code
from ix.passes.schedule.kernel import Kernel
from ix.passes.schedule.rules import loop, row, scatter, sort
from ix.target import Target

__all__ = ["ITEM_RULES", "RULES", "code_of"]

RULES = (
    attention.apply,
    product_rows.apply,
    small_m.apply,
    contraction.apply,
    split_row.apply,
    block_row.apply,
    transpose.apply,
    elementwise.apply,
    thread_reduce.apply,
    warp_scan.apply,
    block_sort.apply,
    long_sort.apply,
    scatter_rows.apply,
    scatter_chunks.apply,
)

ITEM_RULES = (
    scatter.apply,
    sort.apply,
    row.apply,
    loop.apply,
)
"""Rules whose work items are independent, so that threads can take them."""


def code_of(function: Any, target: Target) -> GpuCode:
    """The GPU code of one kernel.

    Raises:
        CompileError: No rule takes the kernel.
    """
    kernel = Kernel(function)
    code: GpuCode | None = first_code(kernel, RULES, target)
    if code is not None:
        return code
    loops = first_code(kernel, ITEM_RULES, target, "thread_")
    if loops is not None:
        return threads_of(kernel, loops)
    raise CompileError(
        function,
        f"needs a rule for kernels of family '{kernel.family}' on {target.name}, but "
        "none applies",
    )

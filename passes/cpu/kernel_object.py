"""A kernel's loops → LLVM IR → an object that launches itself on the thread pool.

    @body(buffers…, scratch, sizes…, low, high)   the loops, from a rule
    @<symbol>.task(args, chunk, slot)             unpacks args, runs one chunk of items
    @<symbol>(pool, args)                         picks the number of chunks, runs them

args is an array of 8-byte slots: pointers, scratch of all threads, sizes, chunks.
"""

from __future__ import annotations

import hashlib

from ix.mlir import PassManager
from ix.passes.cpu.translate import to_llvm_ir
from ix.passes.schedule.kernel import KernelCode
from ix.runtime.sizes import Size

__all__ = ["CHUNK_NS", "LOWER", "SERIAL_NS", "kernel_ir", "size_ir"]

LOWER = (
    "canonicalize,cse,loop-invariant-code-motion,"
    "arith-expand{include-bf16=true},"
    "convert-scf-to-cf,expand-strided-metadata,lower-affine,"
    "convert-math-to-llvm,convert-math-to-libm,"
    "convert-vector-to-llvm{vector-transpose-lowering=shuffle16x16 "
    "reassociate-fp-reductions=1},"
    "finalize-memref-to-llvm,convert-arith-to-llvm,convert-index-to-llvm,"
    "convert-ub-to-llvm,"
    "convert-func-to-llvm{use-bare-ptr-memref-call-conv=1},convert-cf-to-llvm,"
    "canonicalize,cse,reconcile-unrealized-casts"
)

CHUNK_NS = 10_000
"""Work of one chunk at least: waking a worker costs a few microseconds."""

SETUP_SHARE = 10
"""How much longer than its set-up a chunk should take."""

SERIAL_NS = 15_000
"""Kernels shorter than this run on the caller alone."""

MAX_CHUNKS = 16


def kernel_ir(code: KernelCode, pointers: int, sizes: int) -> tuple[str, str]:
    """The kernel's symbol and its LLVM IR.

    The symbol is a digest of the text, so equal kernels of two programs have one name.

    Args:
        code: The loops; the module is lowered in place.
        pointers: Buffers of @body, scratch included.
        sizes: Size arguments.
    """
    PassManager.parse(f"builtin.module({LOWER})", code.module.context).run(
        code.module.operation
    )
    text = to_llvm_ir(code.module)
    wrapped = text + _launcher(code, pointers, sizes)
    digest = hashlib.sha256(f"{wrapped}|{code.level}".encode()).hexdigest()[:16]
    symbol = f"ix_{code.family}_{digest}"
    wrapped = wrapped.replace("@IX_SYMBOL", f"@{symbol}").replace(
        "define void @body(", f"define internal void @{symbol}.body(", 1
    )
    return symbol, wrapped


def _launcher(code: KernelCode, pointers: int, sizes: int) -> str:
    """@task and @launch for a body of so many buffers and sizes.

    A task asks for all of the body's lines at once before it runs: after a kernel that
    has read megabytes, code comes from the level-3 cache, line by line.
    """
    lines: list[str] = []

    def slot(number: int, kind: str, name: str) -> None:
        lines.append(f"  %{name}.at = getelementptr i64, ptr %args, i64 {number}")
        lines.append(f"  %{name} = load {kind}, ptr %{name}.at")

    for number in range(pointers):
        slot(number, "ptr", f"p{number}")
    for number in range(sizes):
        slot(pointers + number, "i64", f"n{number}")
    loads = "\n".join(lines)
    lines.clear()
    for number in range(sizes):
        slot(pointers + number, "i64", f"n{number}")
    size_loads = "\n".join(lines)
    count, items = size_ir(code.items, "items")
    scratch = pointers - 1
    arguments = [f"ptr %p{n}" for n in range(scratch)]
    arguments += ["ptr %scratch"]
    arguments += [f"i64 %n{n}" for n in range(sizes)]
    arguments += ["i64 %low", "i64 %high"]
    chunks_slot = pointers + sizes
    item_ns = max(code.item_ns, 1e-3)
    per_chunk = max(1, round(max(CHUNK_NS, SETUP_SHARE * code.setup_ns) / item_ns))
    serial = max(1, round(SERIAL_NS / item_ns))
    least = "  %least = add i64 2, 0\n  %uneven = add i64 0, 0"
    declared = ""
    if code.setup_ns:
        # Larger chunks would leave threads without one.
        declared = "declare i64 @ix_pool_threads(ptr)\n"
        least = f"""  %threads = call i64 @ix_pool_threads(ptr %pool)
  %worth = udiv i64 {items}, {max(1, round(CHUNK_NS / item_ns))}
  %busy = call i64 @llvm.umin.i64(i64 %threads, i64 %worth)
  %least = call i64 @llvm.umax.i64(i64 %busy, i64 1)
  %uneven = urem i64 %split, %threads"""
    return f"""
declare void @ix_pool_run(ptr, ptr, ptr, i64)
{declared}
define internal void @IX_SYMBOL.task(ptr %args, i64 %chunk, i64 %slot) {{
entry:
{loads}
{count}
  %chunks.at = getelementptr i64, ptr %args, i64 {chunks_slot}
  %chunks = load i64, ptr %chunks.at
  %next = add i64 %chunk, 1
  %low.scaled = mul i64 {items}, %chunk
  %high.scaled = mul i64 {items}, %next
  %low = udiv i64 %low.scaled, %chunks
  %high = udiv i64 %high.scaled, %chunks
  %offset = mul i64 %slot, {_padded(code.scratch_bytes)}
  %scratch = getelementptr i8, ptr %p{scratch}, i64 %offset
  br label %fetch
fetch:
  %line = phi ptr [ @IX_SYMBOL.body, %entry ], [ %next.line, %fetch ]
  call void @llvm.prefetch.p0(ptr %line, i32 0, i32 2, i32 1)
  %next.line = getelementptr i8, ptr %line, i64 64
  %more = icmp ult ptr %next.line, @IX_SYMBOL.task
  br i1 %more, label %fetch, label %run
run:
  call void @IX_SYMBOL.body({", ".join(arguments)})
  ret void
}}

define void @IX_SYMBOL(ptr %pool, ptr %args) {{
{size_loads}
{count}
  %none = icmp eq i64 {items}, 0
  br i1 %none, label %done, label %work
work:
  %split = udiv i64 {items}, {per_chunk}
{least}
  %even = sub i64 %split, %uneven
  %some = call i64 @llvm.umax.i64(i64 %even, i64 %least)
  %few = call i64 @llvm.umin.i64(i64 %some, i64 {MAX_CHUNKS})
  %each = call i64 @llvm.umin.i64(i64 %few, i64 {items})
  %short = icmp ule i64 {items}, {serial}
  %one = select i1 %short, i64 1, i64 %each
  %chunks = call i64 @llvm.umax.i64(i64 %one, i64 1)
  %chunks.at = getelementptr i64, ptr %args, i64 {chunks_slot}
  store i64 %chunks, ptr %chunks.at
  call void @ix_pool_run(ptr %pool, ptr @IX_SYMBOL.task, ptr %args, i64 %chunks)
  br label %done
done:
  ret void
}}
"""


def _padded(size_bytes: int) -> int:
    """Scratch of one thread, a whole number of cache lines."""
    return (size_bytes + 63) // 64 * 64


_OPS = {"add": "add i64", "sub": "sub i64", "mul": "mul i64"}


def size_ir(size: Size, name: str, source: str = "%n{0}") -> tuple[str, str]:
    """LLVM IR that computes a size, and the operand that holds it.

    Args:
        size: Division and remainder round down, as in `ix.runtime.sizes`.
        name: Prefix of the new values.
        source: The operand of dimension n, with {0} in place of n.
    """
    lines: list[str] = []

    def emit(size: Size) -> str:
        if isinstance(size, int):
            return str(size)
        if size[0] == "dim":
            return source.format(size[1])
        left, right = emit(size[1]), emit(size[2])
        result = f"%{name}.{len(lines)}"
        if size[0] in ("min", "max"):
            intrinsic = f"@llvm.s{size[0]}.i64"
            lines.append(f"  {result} = call i64 {intrinsic}(i64 {left}, i64 {right})")
        elif size[0] in ("div", "mod"):
            lines.append(_rounded_down(size[0], result, left, right))
        else:
            lines.append(f"  {result} = {_OPS[size[0]]} {left}, {right}")
        return result

    operand = emit(size)
    return "\n".join(lines), operand


def _rounded_down(kind: str, result: str, left: str, right: str) -> str:
    """⌊left / right⌋ or its remainder; the divisor is a size, so above 0."""
    down = f"{result}.rest.negative"
    lines = [
        f"  {result}.rest = srem i64 {left}, {right}",
        f"  {down} = icmp slt i64 {result}.rest, 0",
    ]
    if kind == "mod":
        lines += [
            f"  {result}.up = add i64 {result}.rest, {right}",
            f"  {result} = select i1 {down}, i64 {result}.up, i64 {result}.rest",
        ]
    else:
        lines += [
            f"  {result}.toward.zero = sdiv i64 {left}, {right}",
            f"  {result}.down = sext i1 {down} to i64",
            f"  {result} = add i64 {result}.toward.zero, {result}.down",
        ]
    return "\n".join(lines)

"""A plan in words: what runs, on which bytes, and why it is cut so."""

from __future__ import annotations

from collections import Counter
from typing import Any

from ix.runtime.plan import Launch, Plan
from ix.runtime.reasons import DECLINED, REASONS
from ix.runtime.sizes import bounds

__all__ = ["explain", "explain_json", "signature"]


def explain(plan: Plan, memory_bytes: dict[str, int] | None = None) -> str:
    """The plan as text, a section each: program, memory, kernels, rules, decisions."""
    lines = [f"{plan.name} for {plan.target.partition('{')[0]}"]
    lines += [f"  {signature(plan)}", ""]
    lines += ["Memory"]
    for kind, size in (memory_bytes or {"arena": plan.arena_bytes}).items():
        lines.append(f"  {kind:<10}{_bytes(size):>12}")
    lines += ["", f"Kernels: {len(plan.launches)} launches of {len(plan.kernels)}"]
    on_gpu = any(kernel.threads for kernel in plan.kernels)
    lines.append(
        f"  {'#':>3}  {'family':<12}{'MFLOP':>9}{'moved':>11}"
        + _GPU_TITLES * on_gpu
        + "  ops"
    )
    for number, launch in enumerate(plan.launches):
        kernel = plan.kernels[launch.kernel]
        lines.append(
            f"  {number:>3}  {kernel.family:<12}{kernel.flops / 1e6:>9.2f}"
            f"{_bytes(kernel.bytes):>11}"
            + (_gpu_columns(plan, launch) if on_gpu else "")
            + f"  {', '.join(launch.ops)}"
        )
    if on_gpu:
        lines.append("  blocks, and bytes moved, at the upper bounds of all dimensions")
    lines += ["", "Rules", *_rules(plan)]
    lines += ["", "Fused"]
    lines += _decisions(plan, fused=True)
    lines += ["", "Not fused"]
    lines += _decisions(plan, fused=False)
    return "\n".join(lines)


_GPU_TITLES = f"{'grid':>8}{'block':>7}{'shared':>11}{'scratch':>11}{'registers':>11}"


def _gpu_columns(plan: Plan, launch: Launch) -> str:
    """Blocks, threads of a block, bytes, and registers where ptxas counted them."""
    kernel = plan.kernels[launch.kernel]
    dims = [(dim.low, dim.high) for dim in plan.dims]
    sizes = [bounds(size, dims) for size in launch.sizes]
    blocks = bounds(kernel.blocks, sizes)[1]
    return (
        f"{blocks:>8}{kernel.threads:>7}{_bytes(kernel.shared_bytes):>11}"
        f"{_bytes(kernel.scratch_bytes):>11}{kernel.registers or '':>11}"
    )


def explain_json(plan: Plan) -> dict[str, Any]:
    """The same as data: the plan, and the texts of its reason codes."""
    used = sorted({d.reason for d in plan.decisions})
    declined = sorted({code for k in plan.kernels for _, code in k.declined})
    return {
        "plan": plan.to_json(),
        "reasons": {code: REASONS[code] for code in used},
        "declined": {code: DECLINED[code] for code in declined},
    }


def signature(plan: Plan) -> str:
    """What a program takes and gives: "(x: float32[n, 4]) → (y: float32[n])"."""

    def tensor(item: Any) -> str:
        sizes = [str(s) if isinstance(s, int) else _size(s, plan) for s in item.shape]
        return f"{item.name}: {item.dtype}[{', '.join(sizes)}]"

    inputs = ", ".join(tensor(t) for t in plan.inputs)
    outputs = ", ".join(tensor(t) for t in plan.outputs)
    return f"({inputs}) → ({outputs})"


def _size(size: Any, plan: Plan) -> str:
    if isinstance(size, int):
        return str(size)
    if size[0] == "dim":
        name: str = plan.dims[size[1]].name
        return name
    signs = {"add": "+", "sub": "−", "mul": "·", "div": "/", "mod": "mod"}
    left, right = _size(size[1], plan), _size(size[2], plan)
    return f"({left} {signs.get(size[0], size[0])} {right})"


def _bytes(size: int) -> str:
    if size >= 1 << 20:
        return f"{size / 2**20:.2f} MiB"
    return f"{size / 1024:.1f} KiB"


def _rules(plan: Plan) -> list[str]:
    """Which rule made the kernels of which launches, and why no other one did."""
    numbers: dict[tuple[Any, ...], list[int]] = {}
    for number, launch in enumerate(plan.launches):
        kernel = plan.kernels[launch.kernel]
        key = (kernel.family, kernel.rule, kernel.declined)
        numbers.setdefault(key, []).append(number)
    lines = []
    for (family, rule, declined), launches in numbers.items():
        by = f" by {rule}" * (rule != family)
        lines.append(f"  {family}{by}: {_ranges(launches)}")
        lines += [
            f"    not {name} ({code}): {DECLINED[code]}" for name, code in declined
        ]
    return lines or ["  nothing"]


def _ranges(numbers: list[int]) -> str:
    """Ascending numbers, those that follow each other as one: "0, 2–4"."""
    parts: list[list[int]] = []
    for number in numbers:
        if parts and parts[-1][-1] == number - 1:
            parts[-1] = [parts[-1][0], number]
        else:
            parts.append([number])
    return ", ".join("–".join(map(str, part)) for part in parts)


def _decisions(plan: Plan, fused: bool) -> list[str]:
    """Decisions of one kind: each reason once, with the pairs that it decided."""
    lines = []
    chosen = [d for d in plan.decisions if d.fused is fused]
    for reason, count in Counter(d.reason for d in chosen).most_common():
        saved = sum(d.saved_bytes for d in chosen if d.reason == reason)
        tail = f", saves {_bytes(saved)}" if fused else ""
        lines.append(f"  {reason} ({count}{tail}): {REASONS[reason]}")
        pairs = Counter((d.producer, d.consumer) for d in chosen if d.reason == reason)
        for (producer, consumer), times in pairs.most_common(8):
            pair = f"{producer} → {consumer}"
            if producer == consumer:  # one op of the model, in several steps
                pair = f"inside {consumer}"
            lines.append(f"    {pair}" + (f" ×{times}" * (times > 1)))
        if len(pairs) > 8:
            lines.append(f"    and {len(pairs) - 8} more pairs")
    return lines or ["  nothing"]

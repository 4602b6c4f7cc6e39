"""Compares measured figures with a committed budget.

Kernels are matched by what they compute (their signature), so a rename or a new build
changes nothing. A kernel that both have is compared figure by figure; what only one
has is told, and judged by the totals of the model.

A figure that is worse than its budget fails; one that is better is told, so that the
budget can be tightened with `--update`.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from ix.cost.errors import BudgetError
from ix.cost.figures import KernelFigures, ModelFigures, Signature

__all__ = ["Change", "Comparison", "check", "compare", "read_budget", "write_budget"]

# How a figure is judged. Registers and shared memory matter through occupancy and
# spills alone, so they are told and not judged.
_LOWER_IS_BETTER = (
    "launches",
    "global_load_sectors",
    "global_store_sectors",
    "global_load_requests",
    "global_store_requests",
    "bank_conflicts",
    "barriers",
    "bytes_read",
    "bytes_written",
    "flops",
    "spill_bytes",
)
_HIGHER_IS_BETTER = ("occupancy",)
# Fewer means that tensor cores are not used where they were, more means more work.
_EITHER_IS_WORSE = ("tensor_ops",)
_TOLD = ("registers", "shared_bytes")

# Instructions that a kernel must not begin to have, or must not lose altogether.
_SASS_UNWANTED = ("LDL.", "STL.")
_SASS_WANTED = ("HGMMA", "HMMA", "IMMA", "LDG.128", "STG.128", "LDGSTS.", "UTMALDG")


@dataclass(frozen=True)
class Change:
    """A figure that differs from its budget.

    Attributes:
        where: The signature of the kernel, or `totals`.
        figure: The name of the figure.
        budget, measured: Its values.
        verdict: `worse`, `better` or `other`.
    """

    where: str
    figure: str
    budget: float
    measured: float
    verdict: str

    def __str__(self) -> str:
        change = ""
        if self.budget:
            change = f" ({100 * (self.measured / self.budget - 1):+.1f}%)"
        return f"{self.figure}: {self.budget:g} → {self.measured:g}{change}"


@dataclass(frozen=True)
class Comparison:
    """The differences between a budget and what was measured.

    Attributes:
        changes: Figures of matched kernels, and totals.
        vanished: Kernels of the budget that are not there any more.
        appeared: Kernels that the budget does not have.
    """

    changes: tuple[Change, ...]
    vanished: tuple[Signature, ...]
    appeared: tuple[Signature, ...]

    @property
    def worse(self) -> tuple[Change, ...]:
        """The changes that fail."""
        return tuple(c for c in self.changes if c.verdict == "worse")

    @property
    def better(self) -> tuple[Change, ...]:
        """The changes that a tighter budget would keep."""
        return tuple(c for c in self.changes if c.verdict == "better")

    def __str__(self) -> str:
        """The difference, the worst first, one line for each figure."""
        lines: list[str] = []
        for title, verdict in (("WORSE", "worse"), ("better", "better")):
            lines += _paragraph(
                title, (c for c in self.changes if c.verdict == verdict)
            )
        lines += [f"kernel that the budget does not have: {s}" for s in self.appeared]
        lines += [f"kernel of the budget that is gone: {s}" for s in self.vanished]
        lines += _paragraph("other", (c for c in self.changes if c.verdict == "other"))
        return "\n".join(lines) or "as budgeted"


def _paragraph(title: str, changes: Iterable[Change]) -> Iterator[str]:
    where = ""
    for change in changes:
        if change.where != where:
            where = change.where
            yield f"{title} {where}"
        yield f"  {change}"


def compare(budget: ModelFigures, measured: ModelFigures) -> Comparison:
    """Judges measured figures by a budget.

    Raises:
        BudgetError: The budget is for another target, or for other sizes.
    """
    if budget.target != measured.target:
        raise BudgetError(
            f"'budget' needs figures for {budget.target}, but they are for "
            f"{measured.target}; keep a budget for each target"
        )
    if budget.dims != measured.dims:
        raise BudgetError(
            f"'budget' needs figures for {_sizes(budget)}, but they are for "
            f"{_sizes(measured)}; pass inputs of the budget's shapes"
        )
    old, new = _by_signature(budget), _by_signature(measured)
    changes = [
        change
        for signature in sorted(old.keys() & new.keys())
        for change in _kernel_changes(signature, old[signature], new[signature])
    ]
    changes += _judged("totals", budget.totals, measured.totals)
    return Comparison(
        tuple(changes),
        tuple(sorted(old.keys() - new.keys())),
        tuple(sorted(new.keys() - old.keys())),
    )


def check(path: Path, measured: ModelFigures, *, update: bool = False) -> Comparison:
    """Compares figures with the budget in a file, or makes them the budget.

    Args:
        path: The file.
        measured: The figures.
        update: Whether the file is written.

    Raises:
        BudgetError: A figure is worse than its budget, or there is no budget.
    """
    if update:
        write_budget(path, measured)
        return compare(measured, measured)
    comparison = compare(read_budget(path), measured)
    if comparison.worse:
        raise BudgetError(
            f"'{path.name}' needs no figure to be worse than its budget, but "
            f"{len(comparison.worse)} are; mend the kernels, or accept the figures "
            f"with --update\n{comparison}"
        )
    return comparison


def read_budget(path: Path) -> ModelFigures:
    """The budget in a file.

    Raises:
        BudgetError: There is none, or it is malformed.
    """
    try:
        data = json.loads(path.read_text())
    except FileNotFoundError:
        raise BudgetError(
            f"'budget' needs the file '{path}', but there is none; write it with "
            "--update"
        ) from None
    except ValueError as error:
        raise BudgetError(
            f"'budget' needs JSON, but '{path}' is none: {error}; write it anew with "
            "--update"
        ) from error
    return ModelFigures.from_json(data)


def write_budget(path: Path, figures: ModelFigures) -> None:
    """Writes a budget; the same figures give the same bytes."""
    text = json.dumps(figures.to_json(), indent=1, sort_keys=True, ensure_ascii=False)
    path.write_text(text + "\n")


def _sizes(model: ModelFigures) -> str:
    sizes = [f"{name} = {size}" for name, size in model.dims.items()]
    return ", ".join(sizes) or "no declared dimensions"


def _by_signature(model: ModelFigures) -> dict[Signature, list[KernelFigures]]:
    found: dict[Signature, list[KernelFigures]] = defaultdict(list)
    for kernel in model.kernels:
        found[kernel.signature].append(kernel)
    return found


def _kernel_changes(
    signature: Signature, old: list[KernelFigures], new: list[KernelFigures]
) -> list[Change]:
    """The changes of the kernels of one signature, taken together."""
    where = str(signature)
    return [
        *_judged(where, _together(old), _together(new)),
        *_sass_changes(where, _all_sass(old), _all_sass(new)),
    ]


def _together(kernels: list[KernelFigures]) -> dict[str, float]:
    """Sums over kernels that compute the same; the worst of what does not add up."""
    numbers = [kernel.numbers() for kernel in kernels]
    total = {name: sum(n[name] for n in numbers) for name in numbers[0]}
    total |= {name: max(n[name] for n in numbers) for name in _TOLD}
    total |= {name: min(n[name] for n in numbers) for name in _HIGHER_IS_BETTER}
    return total


def _judged(
    where: str, old: Mapping[str, float], new: Mapping[str, float]
) -> Iterator[Change]:
    for name in (*_LOWER_IS_BETTER, *_HIGHER_IS_BETTER, *_EITHER_IS_WORSE, *_TOLD):
        if name in old and name in new and not _equal(old[name], new[name]):
            yield Change(where, name, old[name], new[name], _verdict(name, old, new))


def _equal(a: float, b: float) -> bool:
    return abs(a - b) < 1e-4  # a budget keeps four places of a fraction


def _verdict(name: str, old: Mapping[str, float], new: Mapping[str, float]) -> str:
    if name in _TOLD:
        return "other"
    if name in _EITHER_IS_WORSE:
        return "worse"
    return (
        "better" if (new[name] < old[name]) == (name in _LOWER_IS_BETTER) else "worse"
    )


def _all_sass(kernels: list[KernelFigures]) -> dict[str, int]:
    total: dict[str, int] = defaultdict(int)
    for kernel in kernels:
        for name, count in kernel.sass.items():
            total[name] += count
    return total


def _sass_changes(
    where: str, old: Mapping[str, int], new: Mapping[str, int]
) -> Iterator[Change]:
    """Local memory that is used anew, and wide or tensor code that is gone."""
    if not old or not new:
        return  # one of them was measured without nvdisasm
    for names, is_worse in ((_SASS_UNWANTED, _grows), (_SASS_WANTED, _vanishes)):
        for name in names:
            before, after = _counted(old, name), _counted(new, name)
            if is_worse(before, after):
                yield Change(where, f"sass {name.rstrip('.')}", before, after, "worse")
            elif is_worse(after, before):
                yield Change(where, f"sass {name.rstrip('.')}", before, after, "better")


def _counted(mix: Mapping[str, int], name: str) -> int:
    """The instructions of a name; of all widths if it ends in a dot."""
    if name.endswith("."):
        return sum(count for key, count in mix.items() if key.startswith(name))
    return mix.get(name, 0)


def _grows(before: int, after: int) -> bool:
    return after > before


def _vanishes(before: int, after: int) -> bool:
    return before > 0 and after == 0

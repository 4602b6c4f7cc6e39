"""Which ops become one kernel.

Ops join group by group, in program order. A group has a domain, the space that its
loops run over; an op joins when it reads a member at the very point that it computes:

    loop         a[i], then f(a[i])                          the domain is a's shape
    row          … and reductions over the last axes         r[i] = Σ_j a[i, j]
    contraction  … and what is done to the product's elements (the epilogue)
    special      … likewise behind an ix op that has a rule of its own

Then loop groups that cost little to compute again, or are read once, are inlined into
their readers (prologues, views). Each decision leaves a record with a reason code.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ix.mlir import defining_op, ir
from ix.passes.schedule.access import (
    is_identity,
    matching_axes,
    output_map,
    reads,
    reads_row,
    reduces_last,
)
from ix.passes.schedule.structure import (
    extracted_tensors,
    is_cheap,
    kind_of,
    reduction_axes,
    tensor_operands,
)
from ix.passes.schedule.symbols import Sizes, reassociation
from ix.runtime.sizes import Size, bounds, product

__all__ = ["Group", "Record", "form_groups"]

WHOLE = ("cumprod", "cumsum", "scatter", "scatter_nd", "sort", "topk")
"""Families whose kernels have no epilogue."""

MOST_OPS = 64
"""Ops in a kernel: more gain nothing, and code is emitted by recursion over them."""


@dataclass(eq=False)
class Group:
    """Ops that become one kernel.

    ops: The members, in program order.
    domain: Sizes of the space that the loops run over.
    anchor: The contraction, special op or odd reduction that decides the rule.
    rows: How many leading axes of the domain are rows, where there are reductions.
    axes: For each member's result, the domain axis of each of its axes; None for one
        value a row.
    inlined: Producers that are computed where they are read.
    copies: How often the code of an inlined value stands in the kernel.
    """

    ops: list[Any]
    domain: tuple[Size, ...]
    anchor: Any = None
    rows: int | None = None
    axes: dict[Any, tuple[int, ...] | None] = field(default_factory=dict)
    inlined: list[Any] = field(default_factory=list)
    copies: dict[Any, int] = field(default_factory=dict)

    @property
    def code_ops(self) -> int:
        """How many ops the kernel's code computes at one point."""
        return len(self.ops) + sum(self.copies.values())

    @property
    def family(self) -> str:
        """loop, row, reduce, contraction, or the special op's own name."""
        if self.anchor is not None:
            kind = kind_of(self.anchor)
            name: str = self.anchor.operation.name
            return name.removeprefix("ix.") if kind == "special" else kind
        return "loop" if self.rows is None else "row"


@dataclass(frozen=True)
class Record:
    """A decision about two ops; `reason` is a key of `ix.runtime.reasons.REASONS`."""

    producer: Any
    consumer: Any
    fused: bool
    reason: str
    saved_bytes: int = 0


class _Former:
    def __init__(self, ops: list[Any], sizes: Sizes, ranges: list[tuple[int, int]]):
        self.ops = ops
        self.sizes = sizes
        self.ranges = ranges
        self.groups: list[Group] = []
        self.group_of: dict[Any, Group] = {}  # result → its group
        self.records: list[Record] = []
        self.users: dict[Any, list[Any]] = {}
        for op in ops:
            for value in tensor_operands(op):
                self.users.setdefault(value, []).append(op)

    # Joining, in program order.

    def place(self, op: Any, *, fuse: bool) -> None:
        kind = kind_of(op)
        if kind == "alias":
            self._place_alias(op)
        elif kind != "leaf" and not (fuse and self._best_candidate(op, kind)):
            self._start(op, kind)

    def _place_alias(self, op: Any) -> None:
        """A reshape that appends unit axes to a value a row stays with the row."""
        source = op.operation.operands[0]
        group = self.group_of.get(source)
        if group is None or group.axes.get(source, ()) is not None:
            return
        if op.operation.name != "tensor.expand_shape":
            return
        shape = self.sizes.shape(op.operation.results[0])
        extra = [a for g in reassociation(op) for a in g[1:]]
        if group.rows is None or extra != list(range(group.rows, len(shape))):
            return
        if all(shape[a] == 1 for a in extra):
            self._add(group, op, None)

    def _start(self, op: Any, kind: str) -> None:
        result = op.operation.results[0]
        shape = self.sizes.shape(result)
        identity = tuple(range(len(shape)))
        if kind == "loop":
            group = Group([], shape)
        elif kind == "reduce" and reduces_last(op):
            domain = self._iteration_space(op)
            group = Group([], domain, rows=len(domain) - len(reduction_axes(op)))
            identity = None  # type: ignore[assignment]
        else:
            group = Group([], shape, anchor=op)
        self.groups.append(group)
        self._add(group, op, identity)

    def _add(self, group: Group, op: Any, axes: tuple[int, ...] | None) -> None:
        group.ops.append(op)
        for result in op.operation.results:
            self.group_of[result] = group
            group.axes[result] = axes

    def _best_candidate(self, op: Any, kind: str) -> Group | None:
        """Joins `op` to the most valuable group that takes it."""
        order = {"contraction": 3, "reduce": 1, "row": 2, "loop": 0}
        found: list[Group] = []
        for value in tensor_operands(op):
            group = self.group_of.get(value)
            if group is not None and group not in found:
                found.append(group)
        found.sort(
            key=lambda g: (order.get(g.family, 3), self.groups.index(g)), reverse=True
        )
        for group in found:
            reason, axes = self._fits(op, kind, group)
            members = [v for v in tensor_operands(op) if self.group_of.get(v) is group]
            producer = defining_op(members[0])
            if reason in ("same-point", "same-row"):
                saved = sum(self._bytes(v) for v in dict.fromkeys(members))
                self.records.append(Record(producer, op, True, reason, 2 * saved))
                if kind == "reduce" and group.rows is None:
                    group.rows = len(group.domain) - len(reduction_axes(op))
                self._add(group, op, axes)
                return group
            self.records.append(Record(producer, op, False, reason))
        return None

    def _fits(
        self, op: Any, kind: str, group: Group
    ) -> tuple[str, tuple[int, ...] | None]:
        """A reason code, and the domain axes of the op's result if it may join."""
        if kind in ("contraction", "special"):
            return "two-anchors", None
        if group.family in WHOLE:
            return "whole-result", None
        if len(group.ops) >= MOST_OPS:
            return "full-kernel", None
        if op.operation.name != "linalg.generic":
            return "other-domain", None
        if any(self.group_of.get(v) is group for v in extracted_tensors(op)):
            return "other-domain", None
        if kind == "reduce":
            verdict = self._reduce_fits(op, group)
            axes: tuple[int, ...] | None = None
        else:
            verdict, axes = self._loop_fits(op, group)
        if verdict in ("same-point", "same-row") and self._makes_cycle(op, group):
            return "cycle", None
        return verdict, axes

    def _reduce_fits(self, op: Any, group: Group) -> str:
        if group.anchor is not None:
            return "reduction-of-product"
        if not reduces_last(op):
            return "not-trailing"
        space = self._iteration_space(op)
        if space != group.domain:
            return "other-domain"
        rows = len(space) - len(reduction_axes(op))
        if group.rows is not None and group.rows != rows:
            return "other-rows"
        for value, map_ in reads(op):
            if self.group_of.get(value) is not group:
                continue
            if group.axes[value] is None:
                if not reads_row(map_, rows):
                    return "other-domain"
            elif not is_identity(map_, len(space)):
                return "other-domain"
        return "same-row"

    def _loop_fits(  # noqa: C901  one guard a line
        self, op: Any, group: Group
    ) -> tuple[str, tuple[int, ...] | None]:
        """Whether a parallel generic computes on the group's points; on which axes."""
        shape = self.sizes.shape(op.operation.results[0])
        if not is_identity(output_map(op), len(shape)):
            return "other-domain", None
        row_value = group.rows is not None and self._is_row_shape(shape, group)
        axes: tuple[int, ...] | None = None
        for value, map_ in reads(op):
            if self.group_of.get(value) is not group:
                continue
            member = group.axes[value]
            if member is None:
                assert group.rows is not None
                if not reads_row(map_, group.rows):
                    return "other-domain", None
                continue
            found = matching_axes(map_, member, shape, group.domain)
            if found is None or (axes is not None and found != axes):
                return "other-domain", None
            axes = found
        if axes is None:  # only row values are read
            if row_value:
                return "same-row", None
            if shape != group.domain:
                return "other-domain", None
            return "same-row", tuple(range(len(shape)))
        if group.anchor is None and axes != tuple(range(len(shape))):
            return "other-domain", None
        if axes and axes[-1] != len(axes) - 1:
            return "permuted-lanes", None
        return "same-point", axes

    def _is_row_shape(self, shape: tuple[Size, ...], group: Group) -> bool:
        rows = group.rows or 0
        return (
            shape[:rows] == group.domain[:rows]
            and all(s == 1 for s in shape[rows:])
            and shape != group.domain
        )

    def _iteration_space(self, op: Any) -> tuple[Size, ...]:
        space: dict[int, Size] = {}
        for value, map_ in reads(op):
            for axis, expr in enumerate(map_.results):
                if isinstance(expr, ir.AffineDimExpr):
                    space[expr.position] = self.sizes.shape(value)[axis]
        output = op.operation.results[0]
        for axis, expr in enumerate(output_map(op).results):
            if isinstance(expr, ir.AffineDimExpr):
                space[expr.position] = self.sizes.shape(output)[axis]
        return tuple(space.get(d, 1) for d in range(len(op.iterator_types)))

    def _makes_cycle(self, op: Any, group: Group) -> bool:
        """Whether an operand from elsewhere needs this group's results first."""
        pending = [v for v in tensor_operands(op) if self.group_of.get(v) is not group]
        seen: set[Any] = set()
        while pending:
            value = pending.pop()
            owner = self.group_of.get(value)
            if owner is group:
                return True
            key = value if owner is None else owner
            if key in seen:
                continue
            seen.add(key)
            if owner is not None:
                members = owner.ops
            else:
                producer = defining_op(value)
                members = [] if producer is None else [producer]
            for member in members:
                pending += tensor_operands(member)
        return False

    def _bytes(self, value: Any) -> int:
        count = bounds(product(self.sizes.shape(value)), self.ranges)[1]
        element = value.type.element_type
        width = getattr(element, "width", 64)
        return int(count * max(width // 8, 1))

    # Inlining, in reverse order.

    def inline_all(self, returned: set[Any]) -> None:
        for group in reversed(list(self.groups)):
            if group.family == "loop":
                self._inline(group, returned)

    def _inline(self, group: Group, returned: set[Any]) -> None:
        views = all(is_cheap(op) for op in group.ops) and len(group.ops) <= 4
        views = views or self._pads_a_window(group)
        outputs, reshapes = self._seen_by_others(group, views)
        if any(v in returned for v in [*group.axes, *outputs]):
            self._record(group, group.ops[-1], False, "returned")
            return
        readers = self._readers(group, outputs, reshapes)
        if readers is None:
            return
        reason = "inlined-view" if views else "inlined-once"
        for reader in readers:
            refusal = ""
            if not views and not self._read_once(group, outputs, reader, readers):
                refusal = "read-often"
            elif self._copies(outputs, group, reader) * group.code_ops > (
                MOST_OPS - reader.code_ops
            ):
                refusal = "full-kernel"
            if refusal:
                self._record(group, reader.ops[0], False, refusal)
                return
        for reader in readers:
            copies = self._copies(outputs, group, reader)
            for value in [*group.axes, *group.copies]:
                reader.copies[value] = copies * group.copies.get(value, 1)
            reader.inlined = [*group.ops, *group.inlined, *reshapes, *reader.inlined]
            saved = 2 * sum(self._bytes(v) for v in group.axes)
            self._record(group, reader.ops[0], True, reason, saved)
        self.groups.remove(group)

    def _copies(self, outputs: list[Any], group: Group, reader: Group) -> int:
        """How often a group's code would stand in a reader: once where it is read."""
        users = [u for value in outputs for u in self._outside_users(value, group)]
        inside = {id(op) for op in [*reader.ops, *reader.inlined]}
        results = {u.operation.results[0] for u in users if id(u) in inside}
        return sum(reader.copies.get(result, 1) for result in results)

    def _readers(
        self, group: Group, outputs: list[Any], reshapes: list[Any]
    ) -> list[Group] | None:
        """The groups that read a group's results; None if a reshape in memory does."""
        readers: list[Group] = []
        for value in outputs:
            for user in self._outside_users(value, group):
                if any(user is reshape for reshape in reshapes):
                    continue
                holders = self._holders(user)
                if not holders:
                    self._record(group, user, False, "reshaped")
                    return None
                readers += [r for r in holders if r not in readers]
        return readers

    def _pads_a_window(self, group: Group) -> bool:
        """Whether a group only pads what convolutions read: they know their edges."""
        if any(op.operation.name != "tensor.pad" for op in group.ops):
            return False
        pending = [v for v in group.axes]
        while pending:
            for user in self.users.get(pending.pop(), []):
                if kind_of(user) == "alias":
                    pending.append(user.operation.results[0])
                elif kind_of(user) != "contraction":
                    return False
        return True

    def _seen_by_others(self, group: Group, views: bool) -> tuple[list[Any], list[Any]]:
        """What other groups read of a group, and the reshapes on the way.

        A reshape of what is only a view goes with it; else it names memory.
        """
        outputs = [v for v in group.axes if self._outside_users(v, group)]
        reshapes: list[Any] = []
        pending = list(outputs) if views else []
        while pending:
            value = pending.pop()
            for user in self._outside_users(value, group):
                if kind_of(user) == "alias" and not self._holders(user):
                    reshapes.append(user)
                    result = user.operation.results[0]
                    outputs.append(result)
                    pending.append(result)
        return outputs, reshapes

    def _record(
        self, group: Group, user: Any, fused: bool, reason: str, saved: int = 0
    ) -> None:
        self.records.append(Record(group.ops[-1], user, fused, reason, saved))

    def _outside_users(self, value: Any, group: Group) -> list[Any]:
        inside = set(map(id, group.ops))
        return [u for u in self.users.get(value, []) if id(u) not in inside]

    def _holders(self, user: Any) -> list[Group]:
        """The groups that compute `user`; none for a reshape that names memory."""
        return [
            g
            for g in self.groups
            if any(o is user for o in g.ops) or any(o is user for o in g.inlined)
        ]

    def _read_once(
        self, group: Group, outputs: list[Any], reader: Group, readers: list[Group]
    ) -> bool:
        """Whether the reader touches each element of the group's results once."""
        if len(readers) > 1:
            return False
        for value in outputs:
            for user in self._outside_users(value, group):
                if user is reader.anchor or kind_of(user) == "special":
                    return False
                if value in extracted_tensors(user):
                    return False
                points = bounds(product(self._iteration_space_of(user)), self.ranges)
                size = bounds(product(self.sizes.shape(value)), self.ranges)
                if points[1] > size[1]:
                    return False
        return True

    def _iteration_space_of(self, op: Any) -> tuple[Size, ...]:
        if op.operation.name == "linalg.generic":
            return self._iteration_space(op)
        return self.sizes.shape(op.operation.results[0])


def form_groups(
    ops: list[Any],
    sizes: Sizes,
    ranges: list[tuple[int, int]],
    returned: set[Any],
    *,
    fuse: bool = True,
) -> tuple[list[Group], list[Record]]:
    """Groups the ops of a function body.

    Args:
        ops: The ops in program order, the terminator left out.
        sizes: Sizes of every tensor.
        ranges: Bounds of the declared dimensions.
        returned: The function's results.
        fuse: Whether ops may share a group.

    Returns:
        The groups, in an order that respects their dependences, and the decisions.
    """
    former = _Former(ops, sizes, ranges)
    for op in ops:
        former.place(op, fuse=fuse)
    if fuse:
        former.inline_all(returned)
    return _in_order(former.groups, former.group_of), former.records


def _in_order(groups: list[Group], group_of: dict[Any, Group]) -> list[Group]:
    """Producers before consumers; else as the program has them."""
    done: list[Group] = []
    state: dict[int, bool] = {}

    def visit(group: Group) -> None:
        if id(group) in state:
            return
        state[id(group)] = True
        for op in [*group.inlined, *group.ops]:
            for value in tensor_operands(op):
                visit_value(value)
        done.append(group)

    def visit_value(value: Any) -> None:
        owner = group_of.get(value)
        if owner is not None and owner in alive:
            visit(owner)
        elif owner is None:
            producer = defining_op(value)
            if producer is not None and kind_of(producer) == "alias":
                visit_value(producer.operation.operands[0])

    alive = set(groups)
    for group in groups:
        visit(group)
    return done

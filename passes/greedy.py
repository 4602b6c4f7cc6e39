"""The greedy rewrite driver: applies patterns until none of them matches.

    erase dead ops; queue ← all ops in program order
    while the queue has an op:
        the first pattern that matches it gives its replacement
        replace it; erase what nothing uses any more
        queue ← the new ops, the users, the producers that lost a use
    start again until a round changes nothing

It is written here, and not taken from the bindings, because a Python pattern must
cost nothing on ops of other classes, may raise, and must keep source locations.
"""

from __future__ import annotations

import inspect
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from ix.errors import CompileError
from ix.mlir import PassManager, ext, ir, op_key

__all__ = ["Pattern", "Rewriter", "apply_patterns", "pattern"]

# Ops of these dialects that have results only compute values.
_VALUE_DIALECTS = frozenset({"arith", "complex", "index", "linalg", "math", "tensor"})

# What vanishes with an op is what it computes, not where its operands lay: chains of
# moves would hand every location on to all that follows.
_MOVES = frozenset({"ix.broadcast", "ix.reshape", "ix.transpose"})

# More rewrites than this for each op of the input means that patterns undo each other.
_REWRITES_PER_OP = 50
_REWRITES_ALWAYS = 10_000


@dataclass(frozen=True)
class Pattern:
    """A function that gives the replacement of an op, and the classes it looks at."""

    classes: tuple[type, ...]
    function: Callable[..., Any]
    takes_rewriter: bool

    @property
    def name(self) -> str:
        """The function's name, for messages."""
        return self.function.__name__

    def __call__(self, op: Any, rewriter: Rewriter | None = None) -> Any:
        """Calls the function, so that one pattern can build on another."""
        return self.function(op, rewriter) if self.takes_rewriter else self.function(op)


def pattern(*classes: type) -> Callable[[Callable[..., Any]], Pattern]:
    """Makes a rewrite pattern of a function `(op)` or `(op, rewriter)`.

    The function is called with an op of one of `classes` (or of a subclass), the
    insertion point before it, and its location. It returns

        None                 no match; it must not have changed anything
        a value, a list of   the new values of the op's results; the op is erased
          values, or an op
        the op itself        it was changed in place
        []                   the op, which has no results, is erased

    Other ops are replaced or erased through the rewriter only. Ops without side
    effects that lose their last use are erased by the driver.
    """

    def decorate(function: Callable[..., Any]) -> Pattern:
        parameters = inspect.signature(function).parameters
        return Pattern(classes, function, takes_rewriter=len(parameters) > 1)

    return decorate


def apply_patterns(root: Any, patterns: Sequence[Pattern]) -> bool:
    """Rewrites the ops below `root` until no pattern matches.

    Patterns are tried in the order given. New ops carry the location of the op they
    replace, fused with those of the ops that vanish with it; moves leave none.

    Returns:
        Whether anything changed.

    Raises:
        CompileError: The patterns do not come to an end.
    """
    rewriter = Rewriter(patterns)
    op = root.operation
    with op.context:
        changed = rewriter.run(op)
        if changed and op.has_trait(ir.IsIsolatedFromAboveTrait):
            manager = PassManager(op.name)
            manager.enable_verifier(False)
            manager.add("trivial-dce")
            manager.run(op)
    return changed


class Rewriter:
    """Changes IR on behalf of a pattern, and remembers what to look at again."""

    def __init__(self, patterns: Sequence[Pattern]) -> None:
        self._patterns = tuple(patterns)
        self._by_class: dict[type, tuple[Pattern, ...]] = {}
        self._known: set[int] = set()  # keys of the ops that are in the IR
        self._queue: deque[int] = deque()
        self._pending: dict[int, Any] = {}
        self._erased: list[Any] = []  # locations erased by the current rewrite
        self._swept = False  # whether the input held dead ops
        self._rewrites = 0
        self._limit = 0

    # What patterns call.

    def replace(self, op: Any, values: Any) -> None:
        """Replaces the results of `op` by `values`, and erases it."""
        values = _values_of(values)
        results = list(op.results)
        if len(values) != len(results):
            raise TypeError(
                f"'{op.name}' has {len(results)} results, but {len(values)} values "
                "were given to replace them"
            )
        new = self._new_ops(values)
        users = [use.owner for result in results for use in result.uses]
        for result, value in zip(results, values, strict=True):
            result.replace_all_uses_with(value)
        location = op.location
        first = len(self._erased)
        self.erase(op)
        self._fuse_locations(new, location, self._erased[first:])
        for each in (*reversed(new), *users):
            self.revisit(each)

    def erase(self, op: Any) -> None:
        """Erases an op without uses, and the ops that only it kept alive."""
        if _is_used(op):
            raise TypeError(f"'{op.name}' still has uses; replace it instead")
        dying = [op.operation]
        while dying:
            current = dying.pop()
            producers = _producers(current)
            if current.name not in _MOVES:
                self._erased.append(current.location)
            self._forget(current)
            current.erase()
            for producer in producers:
                if op_key(producer) not in self._known:
                    continue
                if _is_dead(producer):
                    self._known.discard(op_key(producer))
                    dying.append(producer.operation)
                else:
                    self.revisit(producer)

    def revisit(self, op: Any) -> None:
        """Looks at an op again, because something near it has changed."""
        self._revisit(op_key(op), op)

    def _revisit(self, key: int, op: Any) -> None:
        self._known.add(key)
        if key not in self._pending:
            view = op.operation.opview
            if self._patterns_of(view):
                self._pending[key] = view
                self._queue.append(key)

    # The driver.

    def run(self, root: Any) -> bool:
        """Rewrites below `root` until a round over all ops changes nothing."""
        while True:
            before = self._rewrites
            self._collect(root)
            while self._queue:
                op = self._pending.pop(self._queue.popleft(), None)
                if op is not None:
                    self._visit(op)
            if self._rewrites == before:
                return self._swept or self._rewrites > 0

    def _collect(self, root: Any) -> None:
        found: dict[int, Any] = {}  # by key: an erased op no longer has one

        def visit(op: Any) -> ir.WalkResult:
            found[op_key(op)] = op
            return ir.WalkResult.ADVANCE

        root.walk(visit, ir.WalkOrder.PRE_ORDER)
        self._known = set(found)
        self._limit = max(self._limit, _REWRITES_PER_OP * len(found) + _REWRITES_ALWAYS)
        del found[op_key(root)]
        # A dead user would hide that a value has one use only.
        for key, op in reversed(found.items()):
            if key in self._known and _is_dead(op):
                self.erase(op)
                self._swept = True
        self._erased.clear()
        for key, op in found.items():
            if key in self._known:
                self._revisit(key, op)

    def _visit(self, op: Any) -> None:
        for candidate in self._patterns_of(op):
            with ir.InsertionPoint(op), op.location:
                result = candidate(op, self)
            if result is None:
                continue
            self._rewrites += 1
            if self._rewrites > self._limit:
                raise CompileError(
                    op,
                    f"needs its rewrite patterns to come to an end, but {self._limit} "
                    f"rewrites were not enough; the last pattern is '{candidate.name}'",
                )
            self._accept(op, result)
            self._erased.clear()
            return

    def _accept(self, op: Any, result: Any) -> None:
        if op_key(op) not in self._known:
            return  # the pattern has erased it itself
        if not _is_same(op, result):
            self.replace(op, result)
            return
        for new in self._new_ops(list(op.operands)):
            self.revisit(new)
        self.revisit(op)
        for output in op.results:
            for use in output.uses:
                self.revisit(use.owner)

    def _patterns_of(self, view: Any) -> tuple[Pattern, ...]:
        kind = type(view)
        if kind not in self._by_class:
            self._by_class[kind] = tuple(
                each for each in self._patterns if issubclass(kind, each.classes)
            )
        return self._by_class[kind]

    def _new_ops(self, values: Iterable[Any]) -> list[Any]:
        """The ops not seen yet that `values` are computed by, producers last."""
        found: list[Any] = []
        pending = [value.owner for value in values]
        while pending:
            op = pending.pop()
            if isinstance(op, ir.Block) or op_key(op) in self._known:
                continue
            self._known.add(op_key(op))
            found.append(op)
            pending += [value.owner for value in op.operands]
        return found

    def _fuse_locations(
        self, new: Iterable[Any], location: Any, erased: Sequence[Any]
    ) -> None:
        fused = None
        for op in new:
            if len(erased) > 1 and op.location == location:
                fused = fused or ir.Location.fused(list(erased))
                op.operation.location = fused

    def _forget(self, op: Any) -> None:
        keys = [op_key(op)]
        if len(op.regions):

            def visit(inner: Any) -> ir.WalkResult:
                keys.append(op_key(inner))
                return ir.WalkResult.ADVANCE

            op.walk(visit)
        for key in keys:
            self._known.discard(key)
            self._pending.pop(key, None)


def _values_of(result: Any) -> list[Any]:
    """The replacement that a pattern returned, as a list of values."""
    if isinstance(result, ir.Value):
        return [result]
    if hasattr(result, "results"):
        return list(result.results)
    return list(result)


def _is_same(op: Any, result: Any) -> bool:
    """Whether a pattern returned the op it was given: a change in place."""
    return hasattr(result, "operation") and result.operation == op.operation


def _producers(op: Any) -> list[Any]:
    """The ops that compute the operands of `op`, each once, in operand order."""
    owners: dict[int, Any] = {}
    for value in op.operands:
        owner = value.owner
        if not isinstance(owner, ir.Block):
            owners.setdefault(op_key(owner), owner)
    return list(owners.values())


def _is_dead(op: Any) -> bool:
    """Whether nothing uses the op and erasing it has no effect."""
    if _is_used(op):
        return False
    if ext.Pure in getattr(type(op.opview), "_traits", ()):
        return True
    dialect = op.name.partition(".")[0]
    return dialect in _VALUE_DIALECTS and len(op.results) > 0


def _is_used(op: Any) -> bool:
    return any(next(iter(result.uses), None) is not None for result in op.results)

"""The CUDA graphs of recent calls.

A graph holds the addresses of its inputs and outputs, so that arrays go in and out
without a copy; there is one for each combination of sizes and addresses. Loops bring
few combinations, since pools give freed memory out again.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import Any

__all__ = ["GraphCache"]


class GraphCache:
    """A bounded table of graphs; the one that was not used for longest goes first.

    While there is room a new key is admitted at once. Then it has to come a second
    time: calls whose addresses never repeat would each pay for a graph, and drive out
    those that do.

    Args:
        capacity: Graphs that are kept.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self._graphs: OrderedDict[Hashable, Any] = OrderedDict()
        self._refused: OrderedDict[Hashable, None] = OrderedDict()

    def __len__(self) -> int:
        return len(self._graphs)

    def find(self, key: Hashable) -> Any:
        """The graph of a key, or None."""
        graph = self._graphs.get(key)
        if graph is not None:
            self._graphs.move_to_end(key)
        return graph

    def admits(self, key: Hashable) -> bool:
        """Whether a graph of a new key is worth its capture; asked once a call."""
        if len(self._graphs) < self.capacity or key in self._refused:
            self._refused.pop(key, None)
            return True
        self._refused[key] = None
        while len(self._refused) > 4 * self.capacity:
            self._refused.popitem(last=False)
        return False

    def add(self, key: Hashable, graph: Any) -> None:
        """Keeps a graph."""
        self._graphs[key] = graph
        while len(self._graphs) > self.capacity:
            self._graphs.popitem(last=False)

    def clear(self) -> None:
        """Forgets everything."""
        self._graphs.clear()
        self._refused.clear()

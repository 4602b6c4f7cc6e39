"""The values that the nodes of one graph or function body can see."""

from __future__ import annotations

from typing import Any

__all__ = ["UNKNOWN", "Scope"]


class _Unknown:
    """A value that an unsupported node should have computed."""

    def __repr__(self) -> str:
        return "UNKNOWN"


UNKNOWN = _Unknown()


class Scope:
    """Names → values; a subgraph also sees what its parent defines.

    opsets:      domain → version, in the model or in the function
    attributes:  the caller's attributes, which a function body refers to
    """

    def __init__(
        self,
        opsets: dict[str, int],
        attributes: dict[str, Any] | None = None,
        parent: Scope | None = None,
    ) -> None:
        self.opsets = opsets
        self.attributes = attributes or {}
        self._parent = parent
        self._values: dict[str, Any] = {}

    def inner(self) -> Scope:
        """The scope of a subgraph."""
        return Scope(self.opsets, self.attributes, self)

    def define(self, name: str, value: Any) -> None:
        """Gives `name` a value; the empty name stands for an unused output."""
        if name:
            self._values[name] = value

    def get(self, name: str) -> Any:
        """The value of `name`; None for the empty name."""
        scope: Scope | None = self if name else None
        while scope is not None:
            if name in scope._values:
                return scope._values[name]
            scope = scope._parent
        return UNKNOWN if name else None

"""Finds accesses that nothing orders."""

from __future__ import annotations

from typing import Any


class RaceDetector:
    """Nothing yet."""

    enabled = False

    def __getattr__(self, name: str) -> Any:
        return lambda *args, **kwargs: None

"""Source locations: the user's line that asked for an op."""

from __future__ import annotations

import sys
from itertools import islice
from types import CodeType, FrameType
from typing import Any

from ix.mlir import ir

_OWN_PACKAGES = {"ix", "numpy", "torch", "contextlib", "functools"}


def user_frame() -> FrameType | None:
    """The nearest frame that is of neither ix, NumPy nor PyTorch."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        module = frame.f_globals.get("__name__") or ""
        if module.partition(".")[0] not in _OWN_PACKAGES:
            return frame
        frame = frame.f_back
    return None


def position(frame: FrameType) -> tuple[str, int, int]:
    """File, line and column (from 1) of the expression that a frame evaluates."""
    code = frame.f_code
    return code.co_filename, frame.f_lineno, _columns(code, frame.f_lasti)


def error_position(error: BaseException, *, outermost: bool = False) -> str:
    """`file:line:col` of the user's innermost frame that an exception passed.

    With `outermost`, that of the user's first frame: where a recursion starts.
    """
    found = ""
    step = error.__traceback__
    while step is not None:
        module = step.tb_frame.f_globals.get("__name__") or ""
        if module.partition(".")[0] not in _OWN_PACKAGES:
            code = step.tb_frame.f_code
            column = _columns(code, step.tb_lasti)
            found = f"{code.co_filename}:{step.tb_lineno}:{column}"
            if outermost:
                break
        step = step.tb_next
    return found


def _columns(code: CodeType, instruction: int) -> int:
    spot = next(islice(code.co_positions(), instruction // 2, None), None)
    return 1 if spot is None or spot[2] is None else spot[2] + 1


def user_position() -> str:
    """`file:line:col` of the user's frame, or an empty text."""
    frame = user_frame()
    if frame is None:
        return ""
    file, line, column = position(frame)
    return f"{file}:{line}:{column}"


class Locations:
    """Finds MLIR locations of user frames; each place in the code is resolved once."""

    def __init__(self) -> None:
        self._found: dict[tuple[Any, int], Any] = {}

    def current(self) -> Any:
        """The location of the nearest user frame, in the current context."""
        frame = user_frame()
        if frame is None:
            return ir.Location.unknown()
        place = (frame.f_code, frame.f_lasti)
        if place not in self._found:
            self._found[place] = ir.Location.file(*position(frame))
        return self._found[place]

"""What a pass is: a name, a function over an operation, and typed options."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from ix.errors import InputError

__all__ = ["Option", "Pass", "option_of", "options_of"]

_SCALARS: dict[str, Callable[[str], Any]] = {
    "int": lambda text: int(text, 0),
    "float": float,
    "str": str,
    "bool": lambda text: {"true": True, "1": True, "false": False, "0": False}[text],
}


@dataclass(frozen=True)
class Option:
    """One option of a pass: a keyword-only parameter of its function.

    Args:
        name: The parameter's name; on a command line `-` may stand for `_`.
        kind: int, float, str or bool.
        is_list: Whether the value is a list of `kind`.
        default: What the function gets when the option is not given.
    """

    name: str
    kind: str
    is_list: bool
    default: Any

    def parse(self, text: str) -> Any:
        """The value that `text` writes, as in `name=text` of a pipeline.

        Raises:
            ValueError: The text is no value of this option's type.
        """
        convert = _SCALARS[self.kind]
        text = _unquoted(text.strip())
        try:
            if not self.is_list:
                return convert(text)
            if text[:1] in "[{" and text[-1:] in "]}":
                text = text[1:-1]
            return [
                convert(_unquoted(item.strip())) for item in text.split(",") if item
            ]
        except (KeyError, ValueError):
            many = "a list of " * self.is_list
            raise ValueError(
                f"option '{self.name}' needs {many}{self.kind}, but got '{text}'"
            ) from None

    def write(self, value: Any) -> str:
        """The text that `parse` reads back as `value`."""
        if self.is_list:
            return "[" + ",".join(_written(item) for item in value) + "]"
        return _written(value)


@dataclass(frozen=True)
class Pass:
    """A transformation of one operation, most often a module, in place.

    Args:
        name: What pipelines call it: `ix-` and the file's name with hyphens.
        function: `function(op, **options)`; changes the op, or raises.
        summary: One sentence, the first of the pass's docstring.
        options: The options that `function` takes.
        bound: Options given ahead by `with_options`.
    """

    name: str
    function: Callable[..., None]
    summary: str = ""
    options: tuple[Option, ...] = ()
    bound: dict[str, Any] = field(default_factory=dict)

    def run(self, module: Any, **options: Any) -> None:
        """Runs the pass on a module or operation, inside its context.

        Raises:
            InputError: There is no such option.
            IxError: Whatever the pass raises arrives as it is.
        """
        self._check(options)
        op = module.operation
        with op.context, op.location:
            self.function(op.opview, **{**self.bound, **options})

    def with_options(self, **options: Any) -> Pass:
        """The same pass with options given ahead, for a place in a pipeline."""
        self._check(options)
        return replace(self, bound={**self.bound, **options})

    def option(self, name: str) -> Option:
        """The option that `name` means; hyphens count as underscores."""
        wanted = name.replace("-", "_")
        for option in self.options:
            if option.name == wanted:
                return option
        known = ", ".join(option.name for option in self.options) or "none"
        raise InputError(f"pass '{self.name}' has no option '{name}'; it has: {known}")

    def __str__(self) -> str:
        """The pass as a pipeline writes it: `ix-tile{m=8 sizes=[1,2]}`."""
        given = " ".join(
            f"{name}={self.option(name).write(value)}"
            for name, value in self.bound.items()
        )
        return f"{self.name}{{{given}}}" if given else self.name

    def _check(self, options: dict[str, Any]) -> None:
        for name in options:
            self.option(name)


def options_of(function: Callable[..., None]) -> tuple[Option, ...]:
    """The keyword-only parameters of a pass function, as options."""
    return tuple(
        option_of(parameter)
        for parameter in inspect.signature(function).parameters.values()
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY
    )


def option_of(parameter: inspect.Parameter) -> Option:
    """One keyword-only parameter as an option.

    Raises:
        TypeError: It has no default, or a type that a pipeline cannot write.
    """
    kind = parameter.annotation
    text = kind if isinstance(kind, str) else getattr(kind, "__name__", "")
    if "[" in str(kind) or "|" in str(kind):  # a generic alias or a union, not a class
        text = str(kind)
    text = text.replace(" ", "").removesuffix("|None").removesuffix(",...]").strip("]")
    container, _, item = text.rpartition("[")
    is_list = container in ("list", "tuple", "Sequence")
    if parameter.default is inspect.Parameter.empty:
        raise TypeError(f"option '{parameter.name}' needs a default")
    if item not in _SCALARS or (container and not is_list):
        raise TypeError(
            f"option '{parameter.name}' has type {kind}, but a pipeline can write "
            "int, float, str, bool and lists of them only"
        )
    return Option(parameter.name, item, is_list, parameter.default)


def _unquoted(text: str) -> str:
    if len(text) >= 2 and text[0] == text[-1] and text[0] in "'\"":
        return text[1:-1]
    return text


def _written(value: Any) -> str:
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return f"'{text}'" if any(c in text for c in " ,{}()=[]") or not text else text

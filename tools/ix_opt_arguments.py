"""The command line of ix-opt: the flags of mlir-opt, with one or two dashes."""

from __future__ import annotations

import argparse
import difflib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from ix.errors import InputError

__all__ = ["parse_arguments", "pass_name_like", "print_options"]

MARKER = "// -----"

_SWITCHES = {
    "allow-unregistered-dialect": "accept ops of dialects that are not registered",
    "debug": "show the traceback of a Python exception",
    "dump-pass-pipeline": "write the pipeline to standard error before it runs",
    "elide-resource-data-from-bytecode": "leave resources out of bytecode",
    "emit-bytecode": "write bytecode instead of text",
    "list-passes": "list the passes and exit",
    "mlir-disable-threading": "accepted; ix never uses MLIR's threads",
    "mlir-pass-statistics": "report the number of ops before and after each pass",
    "mlir-pretty-debuginfo": "print locations for reading (they do not parse)",
    "mlir-print-debuginfo": "print locations",
    "mlir-print-ir-after-all": "print the IR after each pass",
    "mlir-print-ir-after-change": "print the IR after a pass only if it changed",
    "mlir-print-ir-after-failure": "print the IR after a pass only if it failed",
    "mlir-print-ir-before-all": "print the IR before each pass",
    "mlir-print-ir-module-scope": "print the whole module, not the op a pass runs on",
    "mlir-print-local-scope": "print without aliases",
    "mlir-print-op-generic": "print the generic form of ops",
    "mlir-print-op-on-diagnostic": "print the op that a diagnostic is about (default)",
    "mlir-print-skip-regions": "print ops without their regions",
    "mlir-timing": "report how long each pass took",
    "mlir-use-nameloc-as-prefix": "name values after their locations",
    "no-implicit-module": "the input is one op, which need not be a module",
    "run-reproducer": "run the pipeline that the input file holds",
    "show-dialects": "list the dialects and exit",
    "verify-each": "verify the IR after each pass (default)",
    "verify-roundtrip": "check that the IR survives printing and parsing",
}
_ON_BY_DEFAULT = ("mlir-print-op-on-diagnostic", "verify-each")

_VALUES = {
    "emit-bytecode-version": ("N", "the version of the bytecode"),
    "mlir-elide-elementsattrs-if-larger": ("N", "elide constants of more elements"),
    "mlir-elide-resource-strings-if-larger": (
        "N",
        "elide longer resources",
    ),
    "mlir-pass-pipeline-crash-reproducer": ("FILE", "write a reproducer on failure"),
    "mlir-print-ir-after": ("PASS,…", "print the IR after these passes"),
    "mlir-print-ir-before": ("PASS,…", "print the IR before these passes"),
    "mlir-print-ir-tree-dir": ("DIR", "write what is printed to files below DIR"),
    "mlir-timing-display": ("list|tree", "how to show times"),
    "output-split-marker": ("MARKER", "what to write between chunks"),
    "pass-pipeline": ("TEXT", "a textual pipeline: builtin.module(…)"),
    "split-input-file": ("MARKER", f"process chunks apart; bare: {MARKER}"),
    "stage": ("NAME", "run ix's own pipeline up to and including a stage"),
    "verify-diagnostics": ("all|only-expected", "compare with expected-… comments"),
}
# A flag of `_VALUES` that may stand without a value means this.
_BARE = {
    "output-split-marker": MARKER,
    "split-input-file": MARKER,
    "verify-diagnostics": "all",
}

_NOT_OFFERED = ("irdl-file", "load-dialect-plugin", "load-pass-plugin")


def parse_arguments(arguments: Sequence[str]) -> argparse.Namespace:
    """Parses the command line; passes given as flags end up in `passes`, in order.

    Raises:
        InputError: A flag is unknown or malformed, or excludes another.
    """
    parser = _parser()
    options = parser.parse_args([part for a in arguments for part in _normalised(a)])
    chosen = [
        flag
        for flag, value in (
            ("--pass-pipeline", options.pass_pipeline),
            ("--stage", options.stage),
            ("--run-reproducer", options.run_reproducer),
            ("-p or pass flags", options.passes),
        )
        if value
    ]
    if len(chosen) > 1:
        raise InputError(f"{' and '.join(chosen)} exclude each other")
    return options


def print_options(options: argparse.Namespace) -> dict[str, object]:
    """The keyword arguments of `ir.Operation.print` that the flags ask for."""
    chosen = {
        "large_elements_limit": options.mlir_elide_elementsattrs_if_larger,
        "large_resource_limit": options.mlir_elide_resource_strings_if_larger,
        "enable_debug_info": options.mlir_print_debuginfo or None,
        "pretty_debug_info": options.mlir_pretty_debuginfo or None,
        "print_generic_op_form": options.mlir_print_op_generic or None,
        "use_local_scope": options.mlir_print_local_scope or None,
        "use_name_loc_as_prefix": options.mlir_use_nameloc_as_prefix or None,
        "skip_regions": options.mlir_print_skip_regions or None,
    }
    if options.mlir_pretty_debuginfo:
        chosen["enable_debug_info"] = True
    return {name: value for name, value in chosen.items() if value is not None}


def pass_name_like(name: str, passes: Sequence[str]) -> str:
    """What to say about a name that is no pass: the names that look like it."""
    flags = [f"--{flag}" for flag in (*_SWITCHES, *_VALUES)]
    near = difflib.get_close_matches(name, passes, n=1)
    near += difflib.get_close_matches(f"--{name}", flags, n=1, cutoff=0.8)
    if not near:
        return (
            f"there is no pass '{name}', nor a flag; --list-passes and --help name them"
        )
    return f"there is no pass '{name}'; did you mean {' or '.join(map(repr, near))}?"


class _Parser(argparse.ArgumentParser):
    """A parser whose errors end like all others of ix-opt: in status 1."""

    def error(self, message: str) -> NoReturn:
        raise InputError(message)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="ix-opt",
        description="Runs passes of ix and of MLIR over .mlir files, as mlir-opt does. "
        "Each pass is also a flag: --canonicalize, --ix-hoist-constants, …",
        allow_abbrev=False,
    )
    parser.add_argument("input", nargs="?", default="-", help="a file, or - for stdin")
    parser.add_argument("-o", dest="output", default="-", help="the output file")
    parser.add_argument(
        "-p",
        dest="passes",
        action="append",
        default=[],
        metavar="PASS,…",
        help="passes in order: name or name{option=value}; may be repeated",
    )
    parser.add_argument("--version", action="store_true", help="show versions and exit")
    for name, text in sorted(_SWITCHES.items()):
        parser.add_argument(
            f"--{name}",
            type=_boolean,
            nargs="?",  # for the help: `_normalised` gives every one a value
            metavar="true|false",
            default=name in _ON_BY_DEFAULT,
            help=text,
        )
    for name, (metavar, text) in sorted(_VALUES.items()):
        kind = int if metavar == "N" else Path if metavar in ("FILE", "DIR") else str
        count = "?" if name in _BARE else None
        parser.add_argument(
            f"--{name}", type=kind, nargs=count, metavar=metavar, help=text
        )
    return parser


def _normalised(argument: str) -> list[str]:
    """One argument in the form that argparse is told about.

    `-flag` → `--flag`; a bare switch gets `=true`; `--a-pass=x=1` → `-p a-pass{x=1}`.
    """
    match = re.fullmatch(r"(?s)--?([A-Za-z][\w.-]+)(?:=(.*))?", argument)
    if match is None:
        return [argument]
    name, value = match[1], match[2]
    if name in _NOT_OFFERED or name.startswith(("remarks-", "mlir-debug-counter")):
        raise InputError(f"--{name} is a flag of mlir-opt that ix-opt does not offer")
    if name in ("help", "version"):
        return [f"--{name}"]
    if name in _SWITCHES:
        return [f"--{name}={value or 'true'}"]
    if name in _VALUES:
        value = _BARE.get(name) if value is None else value
        return [f"--{name}" if value is None else f"--{name}={value}"]
    if value is None:
        return ["-p", name]
    inner = value[1:-1] if value[:1] == "{" and value[-1:] == "}" else value
    return ["-p", f"{name}{{{inner}}}"]


def _boolean(text: str) -> bool:
    if text.lower() not in ("true", "1", "false", "0"):
        raise argparse.ArgumentTypeError(f"needs true or false, got '{text}'")
    return text.lower() in ("true", "1")

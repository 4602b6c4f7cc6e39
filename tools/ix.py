"""`ix`: compile, run, bench, explain and demo from a shell."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence

from ix.errors import IxError
from ix.version import __version__

__all__ = ["main"]

VERBS = {
    "compile": "compile a model to a file that ix.load reads",
    "run": "run a model once on given or random inputs",
    "bench": "measure latency, throughput and memory",
    "explain": "say what runs, on which bytes, and why ops were fused or not",
    "cost": "count what the GPU kernels of a model cost, and hold them to a budget",
    "demo": "embed sentences with a real model, and measure it against other runtimes",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one verb; returns 0, or 1 after an error and 130 after Ctrl-C."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    parser = argparse.ArgumentParser(prog="ix", description=__doc__)
    parser.add_argument("--version", action="version", version=f"ix {__version__}")
    wanted = next((word for word in given if word in VERBS), None)
    try:
        return _run(parser, given, wanted)
    except IxError as error:
        print(f"ix {wanted}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"ix {wanted}: stopped; nothing was left half-written", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader of a pipe went away
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def _run(
    parser: argparse.ArgumentParser, given: Sequence[str], wanted: str | None
) -> int:
    """Parses, and runs the verb. Only that one is imported: `ix --help` stays fast."""
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="verb")
    for verb, summary in VERBS.items():
        sub = verbs.add_parser(verb, help=summary, description=summary)
        if verb == wanted:
            module = importlib.import_module(f"ix.tools.commands.{verb}")
            module.add(sub)
            sub.set_defaults(run=module.run)
    options = parser.parse_args(given)
    return int(options.run(options))


if __name__ == "__main__":
    sys.exit(main())

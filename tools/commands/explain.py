"""`ix explain model.onnx`"""

from __future__ import annotations

import argparse
import json

from ix.runtime.explain import explain_json
from ix.tools.model_source import add_model_arguments, open_model

__all__ = ["add", "run"]


def add(parser: argparse.ArgumentParser) -> None:
    """The verb's own arguments."""
    add_model_arguments(parser)
    parser.add_argument("--json", action="store_true", help="print data, not text")


def run(options: argparse.Namespace) -> int:
    """Prints kernels, memory and fusion decisions."""
    executable, _ = open_model(options)
    if options.json:
        print(json.dumps(explain_json(executable.plan)))
    else:
        print(executable.explain())
    return 0

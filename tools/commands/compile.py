"""`ix compile model.onnx -o model.ix`"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from ix.tools.model_source import add_model_arguments, compile_model
from ix.tools.output_file import add_json_argument, write_json

__all__ = ["add", "run"]


def add(parser: argparse.ArgumentParser) -> None:
    """The verb's own arguments."""
    add_model_arguments(parser)
    parser.add_argument("-o", "--output", metavar="FILE", help="default: MODEL.ix")
    add_json_argument(parser, "the plan")


def run(options: argparse.Namespace) -> int:
    """Compiles, saves, and says what was made."""
    start = time.perf_counter()
    executable = compile_model(options)
    seconds = time.perf_counter() - start
    stem = Path(options.model.rpartition(":")[0] or options.model)
    output = Path(options.output or stem.with_suffix(".ix").name)
    executable.save(output)
    plan = executable.plan
    if options.json:
        write_json(plan.to_json(), options.json)
        if options.json == "-":
            return 0
    size = output.stat().st_size / 2**20
    print(
        f"{output}: {len(plan.launches)} launches of {len(plan.kernels)} kernels, "
        f"{size:.1f} MiB, compiled in {seconds:.2f} s"
    )
    return 0

"""`ix explain model.onnx`"""

from __future__ import annotations

import argparse

from ix.errors import InputError
from ix.runtime.explain import explain_json
from ix.tools.model_source import add_model_arguments, compile_model, read_program
from ix.tools.output_file import add_json_argument, write_json

__all__ = ["add", "run"]


def add(parser: argparse.ArgumentParser) -> None:
    """The verb's own arguments."""
    add_model_arguments(parser)
    parser.add_argument(
        "--kernel",
        type=int,
        metavar="N",
        help="print the LLVM IR of the kernel of launch N instead; for a GPU its PTX",
    )
    add_json_argument(parser, "the plan and the reasons")


def run(options: argparse.Namespace) -> int:
    """Prints kernels, memory, rules and fusion decisions, or one kernel's code."""
    if options.kernel is not None:
        print(_kernel(options))
        return 0
    executable = compile_model(options)
    if options.json:
        write_json(explain_json(executable.plan), options.json)
    if options.json != "-":
        print(executable.explain())
    return 0


def _kernel(options: argparse.Namespace) -> str:
    program, _ = read_program(options)
    if program is None:
        raise InputError(
            f"--kernel needs a model that is compiled now, but '{options.model}' holds "
            "machine code alone; pass what it was compiled from"
        )
    from ix.compiler import code_of

    code = code_of(program, options.target)
    launches = code.plan.launches
    if not 0 <= options.kernel < len(launches):
        raise InputError(
            f"--kernel needs a launch from 0 to {len(launches) - 1}, but is "
            f"{options.kernel}; `ix explain` lists them"
        )
    launch = launches[options.kernel]
    kernel = code.plan.kernels[launch.kernel]
    title = f"{kernel.family}: {', '.join(launch.ops)}"
    if not launch.sources:
        return f"; {title}\n{code.ir[kernel.symbol]}"
    lines = [f"//   .loc 1 {n}: {text}" for n, text in enumerate(launch.sources, 1)]
    return "\n".join([f"// {title}", *lines, code.ir[kernel.symbol]])

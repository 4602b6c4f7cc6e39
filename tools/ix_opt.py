"""ix-opt: runs passes of ix and of MLIR over .mlir files, as mlir-opt does.

ix-opt in.mlir -p ix-fold-transpose,cse
ix-opt in.mlir --pass-pipeline='builtin.module(ix-fold-transpose,func.func(cse))'
ix-opt in.mlir --stage=linalg -o out.mlir
"""

from __future__ import annotations

import argparse
import os
import shlex
import sys
import traceback
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from ix.dialects import context as make_context
from ix.errors import IxError
from ix.mlir import ir
from ix.passes.driver import run_nodes
from ix.passes.instrumentation import ALL, Instrumentation
from ix.passes.pipeline_text import Node
from ix.tools.diagnostics import (
    Diagnostic,
    ExpectedDiagnostics,
    Printer,
    from_mlir,
    from_text,
)
from ix.tools.ix_opt_arguments import MARKER, parse_arguments, print_options
from ix.tools.ix_opt_lists import dialects_text, passes_text, version_text
from ix.tools.ix_opt_output import encoded, require_roundtrip, write_output
from ix.tools.ix_opt_pipeline import nodes_for, pipeline_of, stage_for
from ix.tools.reports import statistics_report, timing_report
from ix.tools.source_file import Chunk, parse_chunk, read_chunks

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit status: 0, or 1 on any failure."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    try:
        options = parse_arguments(given)
        for wanted, text in (
            (options.version, version_text),
            (options.list_passes, passes_text),
            (options.show_dialects, dialects_text),
        ):
            if wanted:
                print(text(), flush=True)
                return 0
        return _Run(options, given).all_chunks()
    except BrokenPipeError:  # the reader, such as `head`, has had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        return 130
    except OSError as error:
        place = f"'{error.filename}': " if error.filename else ""
        print(f"ix-opt: error: {place}{error.strerror}", file=sys.stderr)
        return 1
    except (IxError, UnicodeDecodeError) as error:
        print(f"ix-opt: error: {error}", file=sys.stderr)
        return 1


class _Run:
    """One run of the command over one input."""

    def __init__(self, options: argparse.Namespace, arguments: Sequence[str]) -> None:
        self.options = options
        self.arguments = arguments
        is_stdin = options.input == "-"
        self.file_name = "<stdin>" if is_stdin else options.input
        data = sys.stdin.buffer.read() if is_stdin else Path(options.input).read_bytes()
        self.chunks = read_chunks(data, options.split_input_file)
        self.lines = data.decode("utf-8", "replace").split("\n")
        self.printer = Printer(
            self.lines, self.file_name, options.mlir_print_op_on_diagnostic
        )
        self.expected: ExpectedDiagnostics | None = None
        self.instrument = _instrumentation(options)
        self.context = make_context()
        self.context.allow_unregistered_dialects = options.allow_unregistered_dialect
        # Else error diagnostics are kept for the exception, without warnings and order.
        self.context.emit_error_diagnostics = True
        self.handler = self.context.attach_diagnostic_handler(self._receive)

    def all_chunks(self) -> int:
        """Processes every chunk and writes the output."""
        outputs: list[bytes] = []
        failed = False
        for chunk in self.chunks:
            if self.options.verify_diagnostics is not None:
                self.expected = self._expectations(chunk)
            output = self._guarded(chunk)
            if output is not None:
                outputs.append(output)
            if self.expected is None:
                failed = failed or output is None
            elif problems := self.expected.finish():
                self.printer.show(problems)
                failed = True
        if self.options.mlir_pass_statistics:
            sys.stderr.write(statistics_report(self.instrument.op_counts))
        if self.options.mlir_timing:
            display = self.options.mlir_timing_display or "tree"
            sys.stderr.write(timing_report(self.instrument.timer, display))
        # As mlir-opt: a failure leaves an output file alone, but not standard output.
        if not failed or self.options.output == "-":
            marker = self.options.output_split_marker
            separator = f"{MARKER if marker is None else marker}\n".encode()
            write_output(self.options.output, separator.join(outputs))
        return int(failed)

    def _guarded(self, chunk: Chunk) -> bytes | None:
        """Processes a chunk; None, with diagnostics, if that fails."""
        try:
            return self._output_of(chunk)
        except ir.MLIRError as error:
            for each in error.error_diagnostics:
                self._receive(each)
        except IxError as error:
            self._report(error)
        except Exception as error:  # a pass's own bug: say what to replay
            self._report_bug(error)
        return None

    def _output_of(self, chunk: Chunk) -> bytes:
        options, timer = self.options, self.instrument.timer
        pipeline = pipeline_of(options, chunk)
        with timer.measure("parser", "Parser"):
            op = parse_chunk(
                chunk,
                self.file_name,
                self.context,
                implicit_module=not options.no_implicit_module,
            )
        if options.verify_roundtrip:
            require_roundtrip(op)
        show = None
        if pipeline is not None or options.stage is not None:
            with self.context:
                if pipeline is not None:
                    nodes = nodes_for(pipeline, op)
                else:
                    nodes, stage = stage_for(options.stage, op)
                    show = stage.text
            if options.dump_pass_pipeline:
                _dump_pipeline(op, nodes)
            run_nodes(op, nodes, self.instrument)
        with timer.measure("output", "Output"):
            if show is not None:
                with self.context:
                    return show(op).encode()
            return encoded(op, options, print_options(options))

    def _receive(self, diagnostic: Any) -> bool:
        """Takes an MLIR diagnostic: prints it, or compares it with the comments."""
        self._show(from_mlir(diagnostic, self.file_name))
        return True

    def _show(self, diagnostics: Iterable[Diagnostic]) -> None:
        # Upstream warns of the very section that makes a file a reproducer.
        shown = [d for d in diagnostics if "'mlir_reproducer'" not in d.message]
        if self.expected is not None:
            self.expected.check(shown)
        else:
            self.printer.show(shown)

    def _expectations(self, chunk: Chunk) -> ExpectedDiagnostics:
        only = self.options.verify_diagnostics == "only-expected"
        expected = ExpectedDiagnostics(self.file_name, only)
        first = chunk.lines_before
        count = 0 if isinstance(chunk.content, bytes) else chunk.content.count("\n") + 1
        numbered = enumerate(self.lines[first : first + count], first + 1)
        expected.read(numbered)
        return expected

    def _report(self, error: IxError) -> None:
        """Shows an error that ix raised on purpose."""
        if isinstance(error.__cause__, ir.MLIRError):
            # Its diagnostics went through `_receive`; what is left names the pass.
            if self.expected is None:
                print(f"ix-opt: {error}", file=sys.stderr)
            return
        diagnostic = from_text(str(error))
        if diagnostic.line or self.expected is not None:
            self._show([diagnostic])
        else:
            print(f"ix-opt: error: {error}", file=sys.stderr)
        if self.options.debug:
            traceback.print_exception(error)

    def _report_bug(self, error: Exception) -> None:
        """Shows an exception that no pass should raise, and how to replay it."""
        name = self.instrument.failed_pass
        where = f"pass '{name}' raised " if name else ""
        print(
            f"ix-opt: {where}{type(error).__name__}: {error}\n"
            "This is a bug of ix. To see the traceback, replay it with\n"
            f"  ix-opt {shlex.join([*self.arguments, '--debug'])}",
            file=sys.stderr,
        )
        if self.options.debug:
            traceback.print_exception(error)
        if self.expected is not None:
            self.expected.check([from_text(f"{type(error).__name__}: {error}")])


def _instrumentation(options: argparse.Namespace) -> Instrumentation:
    before = _names(options.mlir_print_ir_before)
    after = _names(options.mlir_print_ir_after)
    only_some = options.mlir_print_ir_after_change, options.mlir_print_ir_after_failure
    if options.mlir_print_ir_before_all:
        before = ALL
    if options.mlir_print_ir_after_all or (any(only_some) and not after):
        after = ALL
    return Instrumentation(
        verify_each=options.verify_each,
        print_before=before,
        print_after=after,
        only_changes=options.mlir_print_ir_after_change,
        only_failures=options.mlir_print_ir_after_failure,
        module_scope=options.mlir_print_ir_module_scope,
        print_options=print_options(options),
        tree_dir=options.mlir_print_ir_tree_dir,
        count_ops=options.mlir_pass_statistics,
        reproducer=options.mlir_pass_pipeline_crash_reproducer,
    )


def _names(text: str | None) -> frozenset[str]:
    return frozenset((text or "").replace(",", " ").split())


def _dump_pipeline(op: Any, nodes: Sequence[Node]) -> None:
    text = ",".join(map(str, nodes))
    print(f"Pass Manager with {len(nodes)} passes:\n{op.name}({text})", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())

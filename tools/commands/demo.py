"""`ix demo`: a sentence-embedding model, checked, measured and compared."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from ix.errors import InputError
from ix.runtime.pool import default_threads
from ix.tools.demo.experiment import Settings, run_experiment
from ix.tools.demo.report import Progress, report
from ix.tools.demo.sentences import QUERY, SENTENCES, read_sentences
from ix.tools.output_file import add_json_argument, write_json

__all__ = ["add", "run"]

ALL_OTHERS = ("numpy", "pytorch", "onnxruntime")
QUICK_OTHERS = ("numpy", "pytorch")


def add(parser: argparse.ArgumentParser) -> None:
    """The verb's own arguments."""
    parser.add_argument("--query", default=QUERY, help="what to compare with")
    parser.add_argument(
        "--sentence",
        action="append",
        default=[],
        metavar="TEXT",
        help="embed this instead of the built-in sentences; may be given often",
    )
    parser.add_argument("--file", metavar="FILE", help="sentences, one a line")
    parser.add_argument("--threads", type=int, metavar="N", help="threads of one call")
    parser.add_argument(
        "--quick",
        action="store_true",
        help="measure for less long, against NumPy and PyTorch only",
    )
    parser.add_argument("--save", metavar="FOLDER", help="keep the compiled program")
    add_json_argument(parser, "the figures")


def run(options: argparse.Namespace) -> int:
    """Returns 1 where an embedding is not the reference's."""
    settings = _settings(options)
    progress = Progress()
    start = time.perf_counter()
    try:
        found = run_experiment(settings, progress)
    finally:
        progress.clear()
    found["total_s"] = time.perf_counter() - start
    if options.json != "-":
        print(report(found))
    if options.json:
        write_json(found, options.json)
    return 0 if found["right"] else 1


def _settings(options: argparse.Namespace) -> Settings:
    if options.threads is not None and options.threads < 1:
        raise InputError(f"--threads needs to be at least 1, but is {options.threads}")
    given = [text.strip() for text in options.sentence]
    if not all(given) or not options.query.strip():
        raise InputError("--sentence and --query need text, but got an empty one")
    if options.file:
        given += read_sentences(Path(options.file))
    return Settings(
        query=options.query.strip(),
        sentences=given or SENTENCES,
        threads=options.threads or default_threads(),
        rounds=2 if options.quick else 4,
        seconds=0.3 if options.quick else 0.6,
        others=QUICK_OTHERS if options.quick else ALL_OTHERS,
        save=options.save or "",
    )

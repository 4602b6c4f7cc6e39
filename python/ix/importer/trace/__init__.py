"""The NumPy tracer: a Python function over arrays becomes a program."""

from ix.importer.trace.function import trace
from ix.importer.trace.tracer import Tracer

__all__ = ["Tracer", "trace"]

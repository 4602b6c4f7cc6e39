"""lit configuration: the `.mlir` tests check IR; everything else is pytest's."""

import os
import sys
from pathlib import Path

import lit.formats

bin_dir = Path(sys.executable).parent

config.name = "ix"
config.test_format = lit.formats.ShTest(execute_external=False)
config.suffixes = [".mlir"]
config.excludes = ["Inputs"]
config.test_source_root = Path(__file__).parent
config.test_exec_root = os.environ.get("IX_TEST_EXEC_ROOT", "build/test")
config.environment["FILECHECK_OPTS"] = "--dump-input=fail"
config.substitutions += [
    ("%python", sys.executable),
    (r"\bix-opt\b", f"{sys.executable} -m ix.tools.ix_opt"),
    (r"\bFileCheck\b", str(bin_dir / "filecheck")),
]

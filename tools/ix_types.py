"""Checks the types of ix with mypy, from a checkout.

    python -m ix.tools.ix_types

The package `ix` lies in four folders of the checkout, which no type checker can follow
in an editable install. So it is put together from links first.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

__all__ = ["main"]

ROOT = Path(__file__).parents[1]


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs mypy with the settings of pyproject.toml; returns its exit status."""
    parser = argparse.ArgumentParser(prog="ix_types", description=__doc__)
    parser.add_argument("--cache-dir", default=str(ROOT / ".mypy_cache"))
    options = parser.parse_args(arguments)
    settings = ROOT / "pyproject.toml"
    if not settings.is_file():
        print(f"ix_types: needs a checkout, but {settings} is missing", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory() as folder:
        package = Path(folder, "ix")
        package.mkdir()
        parts = [*(ROOT / "python" / "ix").iterdir()]
        parts += [ROOT / name for name in ("dialects", "passes", "tools")]
        for part in parts:
            (package / part.name).symlink_to(part)
        command = ["-m", "mypy", "--config-file", str(settings)]
        command += ["--cache-dir", options.cache_dir]
        return subprocess.run(
            [sys.executable, *command], cwd=folder, check=False
        ).returncode


if __name__ == "__main__":
    sys.exit(main())

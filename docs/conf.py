"""Sphinx configuration: `sphinx-build -W docs docs/_build`."""

project = "ix"
author = "The ix authors"
extensions = ["myst_parser"]
myst_heading_anchors = 3
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = "ix"
# MLIR and PTX have no lexer in Pygments; a plain block is right for them.
suppress_warnings = ["misc.highlighting_failure"]

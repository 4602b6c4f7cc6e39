"""The folders of tests `torch` and `onnx` must not pass for the libraries.

Helpers are imported from test/python, which is on the path then. Where a library is not
installed, its folder of tests would be found in its place, as a package without a file.
"""

import importlib.util
import sys

for _name in ("torch", "onnx"):
    _spec = importlib.util.find_spec(_name)
    if _spec is None or _spec.origin is None:
        sys.modules[_name] = None  # type: ignore[assignment]  # importing it fails

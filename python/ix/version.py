"""The version of ix."""

__all__ = ["__version__"]

__version__ = "0.1.0"

"""Passes, in folders named after the stages of `pipeline.py`: read that first."""

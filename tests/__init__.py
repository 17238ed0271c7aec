"""Tests and the tools they share (importable, so that `python -m tests.tools.play` works)."""

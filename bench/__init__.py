"""Measurements against other tools, side by side in one run. Not a test: nothing passes or fails by how fast it was."""

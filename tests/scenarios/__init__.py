"""Incidents as logs, and what must follow from them. A folder each; README.md there says what happened."""

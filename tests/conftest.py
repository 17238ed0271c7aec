"""Settings of all tests."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

# A busy machine may stand still for longer than any example takes.
settings.register_profile("pwmtad", parent=settings(), deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("pwmtad")

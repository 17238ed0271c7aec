"""From settings, rules and what master.cf says to the parts that counting needs. Pure, so a reload can be tried first."""

from __future__ import annotations

from collections.abc import Sequence

from pwmtad.config import InPostfixLog, NoLog, Settings
from pwmtad.core.attribution import Routes, StreamRoutes
from pwmtad.core.classify import Classifier
from pwmtad.core.correlate import Limits
from pwmtad.core.observe import Parts
from pwmtad.model.names import SourceKind, StreamName
from pwmtad.model.postfix import Clone
from pwmtad.model.replies import RuleSet

POSTFIX_SOURCE = "mail.log"
"""Name of the source that delivers Postfix's lines; the key of its checkpoint."""
OPENDKIM_SOURCE = "opendkim"


def parts_of(settings: Settings, rules: RuleSet, clones: Sequence[Clone] | None) -> Parts:
    """Return what counting needs; `clones` is None where there is no master.cf to read."""
    if clones is None:
        clones = settings.clones
    signing = not isinstance(settings.log.opendkim, NoLog)
    return Parts(
        routes=Routes([stream_routes(settings, name) for name in settings.streams], clones),
        classifier=Classifier(rules),
        limits=Limits(
            max_open_messages=settings.limits.max_open_messages,
            max_domains=settings.limits.max_domains,
        ),
        grace_s=float(settings.dkim.grace_s) if signing else None,
    )


def stream_routes(settings: Settings, name: StreamName) -> StreamRoutes:
    """Return what of a stream decides which lines are its own."""
    stream = settings.streams[name]
    return StreamRoutes(
        name=name,
        egresses=frozenset(stream.egresses),
        injector_networks=tuple(stream.injector_clients),
        injector_services=frozenset(stream.injector_services),
    )


def source_kinds(settings: Settings) -> dict[str, SourceKind]:
    """Return which sources there are and what each delivers."""
    if isinstance(settings.log.opendkim, InPostfixLog):
        return {POSTFIX_SOURCE: SourceKind.BOTH}
    if isinstance(settings.log.opendkim, NoLog):
        return {POSTFIX_SOURCE: SourceKind.POSTFIX}
    return {POSTFIX_SOURCE: SourceKind.POSTFIX, OPENDKIM_SOURCE: SourceKind.OPENDKIM}

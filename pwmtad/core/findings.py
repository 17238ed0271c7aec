"""What is wrong between the streams of the configuration and the clones of master.cf. Pure: values in, findings out."""

from __future__ import annotations

from collections.abc import Iterable

from pwmtad.config import Settings
from pwmtad.model.observed import PostfixView
from pwmtad.model.postfix import Clone
from pwmtad.model.state import Finding, Level


def stream_findings(settings: Settings, view: PostfixView) -> tuple[Finding, ...]:
    """Return what makes streams impossible to attribute or unsafe to send from."""
    if view.clones is None:
        return ()
    clones = {clone.name: clone for clone in view.clones}
    found: list[Finding] = []
    for name, stream in settings.streams.items():
        for egress in stream.egresses:
            found.extend(_egress_findings(name, egress, clones.get(egress)))
    found.extend(_shared_names(settings, clones))
    return tuple(found)


def _egress_findings(stream: str, egress: str, clone: Clone | None) -> Iterable[Finding]:
    if clone is None:
        text = f"stream {stream} lists {egress}, but master.cf has no such smtp service"
        yield Finding(Level.ERROR, "egress_missing", text, egress)
        return
    if clone.syslog_name is None:
        text = (
            f"{egress} has no syslog_name of its own, so its lines can't be told from others: "
            f"add `-o syslog_name=postfix/$service_name` to it in master.cf and reload Postfix"
        )
        yield Finding(Level.ERROR, "egress_without_syslog_name", text, egress)
    if clone.bind_address is None and clone.bind_address6 is None:
        text = f"{egress} has no smtp_bind_address: its mail leaves from the host's default address"
        yield Finding(Level.ERROR, "egress_without_bind_address", text, egress)
    elif not clone.bind_enforced:
        # Seen in a run of Postfix 3.7.11: with an address that is not up, mail is sent from another one, with a warning only.
        text = (
            f"{egress} does not enforce its address: if it is not up, mail leaves from another one; "
            f"add `-o smtp_bind_address_enforce=yes`"
        )
        yield Finding(Level.WARNING, "bind_not_enforced", text, egress)
    if clone.helo_name is None:
        text = f"{egress} has no smtp_helo_name: it greets with the host's name, which its address does not resolve to"
        yield Finding(Level.WARNING, "egress_without_helo_name", text, egress)


def _shared_names(settings: Settings, clones: dict[str, Clone]) -> Iterable[Finding]:
    """Two clones with one syslog_name look like one."""
    owners: dict[str, str] = {}
    listed = {egress for stream in settings.streams.values() for egress in stream.egresses}
    for name, clone in clones.items():
        if clone.syslog_name is None:
            continue
        other = owners.setdefault(clone.syslog_name, name)
        if other != name and (name in listed or other in listed):
            text = f"{other} and {name} share the syslog_name {clone.syslog_name}: their lines can't be told apart"
            yield Finding(Level.ERROR, "syslog_name_shared", text, name)

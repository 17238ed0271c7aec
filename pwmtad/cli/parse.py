"""`pwmtad parse`: log lines in, one JSON object per line out, in order. The field names are a contract (docs/cli.md)."""

from __future__ import annotations

import os
import sys
from typing import Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import click
import msgspec

from pwmtad.adapters.config_files import load_rules_or_fail
from pwmtad.adapters.journal import entry_from_json
from pwmtad.cli.check_config import EXIT_UNREADABLE
from pwmtad.cli.json_lines import close_output, encode, iso
from pwmtad.cli.log_files import UnreadableLogError, line_lists
from pwmtad.cli.log_order import year_of
from pwmtad.core.classify import Classifier
from pwmtad.core.lines import LineReader
from pwmtad.core.reply import parse_reply
from pwmtad.core.text import domain_of
from pwmtad.daemon.clock import wall_clock
from pwmtad.model import events
from pwmtad.model.events import AnyEvent
from pwmtad.model.names import UNKNOWN_OPERATOR, OperatorName

_CONTRACT: Final = (
    "queue_id", "recipient", "orig_recipient", "relay_host", "relay_ip", "relay_port", "conn_use", "delay", "delays",
    "enhanced_status", "status", "reply_code", "reply", "reply_phase", "operator", "class", "rule",
)  # fmt: skip


@click.command(name="parse")
@click.argument("file", type=click.Path(allow_dash=True, dir_okay=False))
@click.option("--source", type=click.Choice(["postfix", "opendkim"]), default="postfix", show_default=True,
              help="Whose message a bare line is; lines with a tag say so themselves.")  # fmt: skip
@click.option("--year", type=click.IntRange(1970, 9998), help="Year of the first line, for traditional timestamps.")
@click.option("--timezone", default="UTC", show_default=True, help="Zone of traditional timestamps, an IANA name.")
@click.option("--bare", is_flag=True, help="Lines have no syslog prefix: QUEUEID: to=<...> ...")
def command(file: str, source: str, year: int | None, timezone: str, bare: bool) -> None:
    """Print one JSON object per line of FILE (`-`: standard input; `.gz` and `journalctl -o json` are read, too).

    Exit code: 0, or 2 if the file can't be read.
    """
    try:
        zone = ZoneInfo(timezone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise click.BadParameter(f"{timezone!r} is no IANA time zone such as Europe/Berlin", param_hint="--timezone") from error
    describe = Describer(Classifier(load_rules_or_fail(())))
    try:
        reader = _reader(file, zone, year)
        number = 0
        for lines in line_lists(file):
            for line in lines:
                number += 1
                sys.stdout.buffer.write(encode(describe(number, _read(reader, line, source=source, bare=bare))))
            sys.stdout.buffer.flush()  # a pipe that goes on is answered as it comes
    except UnreadableLogError as error:
        click.echo(f"pwmtad: {error}", err=True)
        raise SystemExit(EXIT_UNREADABLE) from error
    except BrokenPipeError:
        close_output()


class Describer:
    """Turns an event into the record of the contract: absent is null."""

    def __init__(self, classifier: Classifier) -> None:
        self._classifier = classifier
        self._domains: dict[str, OperatorName] = {}

    def __call__(self, number: int, event: AnyEvent) -> dict[str, Any]:
        """Return the record of line `number`: the contract's keys, then those of this kind of event alone."""
        own = msgspec.structs.asdict(event)
        record: dict[str, Any] = {
            "line": number,
            "event": event.name,
            "at": iso(event.at),
            "host": event.host or None,
            "tag": event.tag or None,
            "pid": event.pid,
        }
        for key in ("at", "host", "tag", "pid"):
            del own[key]
        record.update(dict.fromkeys(_CONTRACT))
        if isinstance(event, events.Attempt):
            own["delays"] = _numbers(event.delays)
            record.update(own)
            self._outcome(record, event)
        else:
            record.update(own)
            if isinstance(event, events.RemoteRefused):
                self._refusal(record, event)
        return record

    def _outcome(self, record: dict[str, Any], event: events.Attempt) -> None:
        reply = parse_reply(event.text)
        record.update(reply_code=reply.code, reply=reply.text, reply_phase=reply.phase)
        if isinstance(event, events.LocalDeferral):
            return
        operator = self._operator(event)
        record["operator"] = None if operator == UNKNOWN_OPERATOR else operator
        if event.status.lower() not in ("sent", "deliverable"):
            verdict = self._classifier.classify(operator, reply, event.enhanced_status)
            record.update({"class": verdict.reply_class.value, "rule": verdict.rule})

    def _refusal(self, record: dict[str, Any], event: events.RemoteRefused) -> None:
        reply = parse_reply(event.text)
        operator = self._classifier.operator_of_relay(event.relay_host)
        verdict = self._classifier.classify(operator, reply, None)
        record.update(reply_code=reply.code, reply=reply.text, reply_phase=reply.phase, operator=operator)
        record.update({"class": verdict.reply_class.value, "rule": verdict.rule})

    def _operator(self, event: events.Attempt) -> OperatorName:
        domain = domain_of(event.recipient)
        if event.relay_host is None:
            return self._domains.get(domain) or self._classifier.operator_of_domain(domain) or UNKNOWN_OPERATOR
        operator = self._domains[domain] = self._classifier.operator_of_relay(event.relay_host)
        return operator


def _numbers(delays: str) -> list[float] | None:
    try:
        return [float(part) for part in delays.split("/")]
    except ValueError:
        return None


def _reader(file: str, zone: ZoneInfo, year: int | None) -> LineReader:
    """A file tells the year of its first line by its end. A pipe is read only once: there each line has the nearest year."""
    now = wall_clock()
    if year is None and os.path.isfile(file):
        year = year_of(file, zone=zone, now=now)
    return LineReader(zone=zone, now=now, year=year)


def _read(reader: LineReader, line: str, *, source: str, bare: bool) -> AnyEvent:
    if line[:1] == "{":
        entry = entry_from_json(line.encode())
        if entry is not None:
            return reader.entry(entry[1])
    return reader.bare(line, source=source) if bare else reader.line(line)

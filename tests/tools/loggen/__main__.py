"""`python -m tests.tools.loggen SCENARIO --to mail.log`: write a scenario to files."""

from __future__ import annotations

import argparse
import json
import sys
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

from tests.tools.loggen.model import HostConfig
from tests.tools.loggen.scenarios import BY_NAME


def main(arguments: list[str]) -> int:
    """Write the files that were asked for, and say how many lines they have."""
    options = _parser().parse_args(arguments)
    start = datetime.fromisoformat(options.start)
    if start.tzinfo is None:
        start = start.replace(tzinfo=UTC)
    host = HostConfig(long_ids=not options.short_ids, opendkim_log="journal" if options.journal_to else "mail")
    run = BY_NAME[options.scenario](start.timestamp(), host=host).play()
    with ExitStack() as stack:
        mail_log = stack.enter_context(options.to.open("w", encoding="utf-8", newline="\n"))
        journal = None
        if options.journal_to:
            journal = stack.enter_context(options.journal_to.open("w", encoding="utf-8", newline="\n"))
        truth = run.write(mail_log, journal, options.lines)
    if options.truth_to:
        options.truth_to.write_text(json.dumps(truth.as_dict(), indent=1) + "\n", encoding="utf-8")
    print(f"{truth.mail_lines} lines of mail.log, {truth.journal_lines} of the journal", file=sys.stderr)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.tools.loggen", description=__doc__)
    parser.add_argument("scenario", choices=sorted(BY_NAME))
    parser.add_argument("--to", type=Path, required=True, help="mail.log to write")
    parser.add_argument("--journal-to", type=Path, help="write opendkim's lines here, as journalctl -o json does")
    parser.add_argument("--truth-to", type=Path, help="what really happened, as JSON")
    parser.add_argument("--lines", type=int, default=sys.maxsize, help="at most this many (the corpus never ends by itself)")
    parser.add_argument("--start", default="2026-03-02T00:00:00+00:00", help="first moment of the scenario, ISO 8601")
    parser.add_argument("--short-ids", action="store_true", help="short queue ids, as with enable_long_queue_ids = no")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

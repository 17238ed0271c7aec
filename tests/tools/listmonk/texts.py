"""What errors say. The words differ between versions (and, in the real one, with `app.lang`): whoever matches them fails.

In: a version and what went wrong. Out: a sentence for people. Only the status code next to it means something.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from tests.tools.listmonk.versions import Version


class Wrong(StrEnum):
    """What went wrong."""

    INVALID_ID = "invalid_id"
    NOT_FOUND = "not_found"
    DRAFT = "draft"
    SCHEDULE = "schedule"
    NEEDS_SEND_AT = "needs_send_at"
    RUN = "run"
    PAUSE = "pause"
    CANCEL = "cancel"
    PAST = "past"
    LISTS = "lists"
    MESSENGER = "messenger"
    NOT_EDITABLE = "not_editable"
    DATABASE = "database"
    NO_SMTP = "no_smtp"
    NAME = "name"
    SCAN_INTERVAL = "scan_interval"
    FIELDS = "fields"
    DATA = "data"
    DOMAIN = "domain"
    QUERY = "query"
    PERMISSION = "permission"
    UNAVAILABLE = "unavailable"


_LINES: Final[dict[Wrong, tuple[str, ...]]] = {  # v3, v4, v5, v6.0 and v6.1, v6.2
    Wrong.INVALID_ID: ("invalid ID", "Invalid ID(s)", "The ID is wrong", "ID invalid.", "That is not an ID"),
    Wrong.NOT_FOUND: ("{} not found", "No such {}", "{} unknown", "Couldn't find {}", "There is no {}"),
    Wrong.DRAFT: (
        "Only scheduled campaigns can be saved as drafts.", "Drafts are made from scheduled campaigns.",
        "This isn't scheduled.", "Can't make it a draft.", "Unschedule what is scheduled only.",
    ),
    Wrong.SCHEDULE: (
        "Only drafts can be scheduled.", "Scheduling needs a draft.", "Neither draft nor on hold.",
        "Can't schedule in this state.", "Too late to schedule.",
    ),
    Wrong.NEEDS_SEND_AT: (
        "Campaign needs a `send_at` date to be scheduled.", "Give it a date first.", "When?", "Date missing.", "No `send_at`.",
    ),
    Wrong.RUN: (
        "Only paused campaigns and drafts can be started.", "Start drafts or halted ones.", "Can't start this.",
        "Already under way or over.", "Starting is not possible.",
    ),
    Wrong.PAUSE: (
        "Only active campaigns can be paused.", "It isn't running.", "Nothing to pause.", "Inactive already.",
        "Can't stop what doesn't run.",
    ),
    Wrong.CANCEL: (
        "Only active campaigns can be cancelled.", "Nothing to cancel.", "Cancel what runs.", "It is over.", "No cancelling.",
    ),
    Wrong.PAST: (
        "Scheduled date should be in the future.", "That moment is gone.", "Pick a later date.", "It lies behind.", "Past.",
    ),
    Wrong.LISTS: ("Invalid list IDs.", "Choose lists.", "Lists missing.", "To whom?", "No list given."),
    Wrong.MESSENGER: ("Unknown messenger {}.", "No messenger {}.", "{}: not loaded", "{} doesn't exist.", "Messenger {}?"),
    Wrong.NOT_EDITABLE: (
        "Cannot update a running or a finished campaign.", "Too late to edit.", "It is locked.", "Read only now.", "No edits.",
    ),
    Wrong.DATABASE: (
        "Error fetching {}.", "Failed to fetch {}.", "{}: database error", "Database trouble with {}.", "Couldn't read {}.",
    ),
    Wrong.NO_SMTP: (
        "At least one SMTP block should be enabled", "Enable an SMTP server", "No way to send", "All SMTP is off", "SMTP?",
    ),
    Wrong.NAME: (
        "Invalid messenger name", "Messenger names must differ", "Bad name", "Name taken or empty", "Rename the messenger",
    ),
    Wrong.SCAN_INTERVAL: (
        "Bounce scan interval should be minimum 1m.", "Scan less often.", "Interval too short.", "A minute or more.", "Often!",
    ),
    Wrong.FIELDS: ("Invalid fields: {}", "{} is wrong", "Check {}", "{}: not acceptable", "Can't use {}"),
    Wrong.DATA: ("Invalid data", "Can't read this", "Malformed request", "Unexpected content", "That is no valid data"),
    Wrong.DOMAIN: (
        "The e-mail domain is blocklisted.", "Domain banned", "No mail to that domain", "Domain refused", "Listed domain",
    ),
    Wrong.QUERY: ("Error preparing query", "Bad query", "That expression fails", "SQL refused", "Query broken"),
    Wrong.PERMISSION: (
        "Permission denied: {}", "Permission denied: {}", "Not allowed: {}", "You lack {}", "Forbidden without {}",
    ),
    Wrong.UNAVAILABLE: ("Unavailable", "Unavailable", "Unavailable", "Unavailable", "Bounce processing is off"),
}  # fmt: skip


def wording(version: Version, wrong: Wrong, name: str = "") -> str:
    """Return the sentence of this version; `name` is what it is about."""
    column = version.major - 3 if version < (6, 2, 0) else 4
    return _LINES[wrong][column].format(name)

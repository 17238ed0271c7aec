"""Read the systemd journal through `journalctl`: the entries of one unit, each once, with its cursor as checkpoint.

In: `JournalSource` (implements the port `LogSource`) and `entry_from_json` (one line of `journalctl -o json`). Out: what a
message means, and storing the checkpoint. Importers: `daemon/app.py`, `cli/parse.py`, `cli/replay_run.py` and tests.

    entries   one line of JSON to an entry, pure
    command   the arguments of journalctl, and why each stands there
    process   a running journalctl: lines out of it, never a zombie
    reading   where reading stands: cursor, skipped and missing entries
    source    drain, follow, start again
    trouble   sentences for people
"""

from pwmtad.adapters.journal.entries import entry_from_json
from pwmtad.adapters.journal.source import JournalSource

__all__ = ["JournalSource", "entry_from_json"]

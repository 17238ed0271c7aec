"""Configuration: TOML -> frozen, validated settings, or every mistake at once with its dotted path.

In: models of the file, checks, and how both are told to people (`load_settings`, `diff_settings`, `describe`). Out: I/O,
clocks, decisions. Files are bytes here and paths are texts; only the zone database is read, as `zoneinfo` does.
Imported by core, adapters, daemon and cli; imports only model.
"""

from pwmtad.config.describe import KeyDescription, describe, markdown_table
from pwmtad.config.diff import diff_settings
from pwmtad.config.listmonk import ListmonkSettings
from pwmtad.config.sections import (
    DkimSettings,
    HttpSettings,
    LimitSettings,
    LogSettings,
    PostfixSettings,
    RulesSettings,
    Settings,
    StoreSettings,
    SuppressionSettings,
)
from pwmtad.config.settings import load_settings
from pwmtad.config.streams import EgressSettings, StreamSettings, WarmupSettings
from pwmtad.config.values import (
    FileLog,
    InPostfixLog,
    JournalLog,
    Ladder,
    ListenAddress,
    Network,
    NoLog,
    OpendkimLog,
    PostfixLog,
    PostgresUrl,
    SqliteUrl,
    StoreUrl,
)

__all__ = [
    "DkimSettings",
    "EgressSettings",
    "FileLog",
    "HttpSettings",
    "InPostfixLog",
    "JournalLog",
    "KeyDescription",
    "Ladder",
    "LimitSettings",
    "ListenAddress",
    "ListmonkSettings",
    "LogSettings",
    "Network",
    "NoLog",
    "OpendkimLog",
    "PostfixLog",
    "PostfixSettings",
    "PostgresUrl",
    "RulesSettings",
    "Settings",
    "SqliteUrl",
    "StoreSettings",
    "StoreUrl",
    "StreamSettings",
    "SuppressionSettings",
    "WarmupSettings",
    "describe",
    "diff_settings",
    "load_settings",
    "markdown_table",
]

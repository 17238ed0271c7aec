"""The kinds of keys: types for the models, each with the words that say what it takes."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, TypeAlias, TypeVar
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PlainValidator

from pwmtad.config import readers, values
from pwmtad.config.readers import Words
from pwmtad.model.names import NO_EGRESS, NO_STREAM, EgressName, OperatorName, StreamName

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")


class Section(BaseModel):
    """A table of the file: frozen, strict (no conversions), and any key it does not know is an error."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", hide_input_in_errors=True)


def read_only(table: Mapping[_Key, _Value]) -> Mapping[_Key, _Value]:
    """Return a read-only view of a copy of `table`."""
    return MappingProxyType(dict(table))


def _absolute_path(value: str) -> str:
    if not readers.is_absolute(value):
        raise readers.refuse("an absolute path", "a daemon has no working directory of its own")
    return value


def _socket_path(value: str) -> str:
    # unix(7): sun_path has 108 bytes, with the terminating NUL.
    if not readers.is_absolute(value) or len(value.encode()) > 107:
        raise readers.refuse("an absolute path of at most 107 bytes (the limit of a Unix socket's name)")
    return value


def _zone_name(value: str) -> str:
    if value == "UTC":  # needs no zone database, which a minimal host may lack
        return value
    try:
        ZoneInfo(value)
    # OSError: `Europe` is a directory of the database; ValueError: `../etc`, NUL, or a file that is no zone.
    except (KeyError, ValueError, OSError):
        raise readers.refuse("an IANA time zone that this host knows, such as 'UTC' or 'America/New_York'") from None
    return value


def _stream_name(value: str) -> str:
    if value == NO_STREAM:
        raise readers.refuse("a name other than 'none'", "'none' is the label of mail that belongs to no stream")
    return value


def _egress_name(value: str) -> str:
    if value == NO_EGRESS:
        raise readers.refuse("a name other than 'none'", "'none' is the label of mail whose tag names no egress")
    return value


def _own_syslog_name(value: str) -> str:
    if value == "postfix" or value.endswith("/smtp"):
        raise readers.refuse(
            "the syslog_name of this clone alone, such as 'postfix/out05'",
            "Postfix adds /smtp by itself" if value != "postfix" else "each smtp service logs as plain 'postfix'",
        )
    return value


AbsolutePath: TypeAlias = Annotated[str, AfterValidator(_absolute_path), Words("an absolute path")]
SocketPath: TypeAlias = Annotated[str, AfterValidator(_socket_path), Words("an absolute path, at most 107 bytes")]
PathList: TypeAlias = Annotated[tuple[AbsolutePath, ...], Field(strict=False), Words("an array of absolute paths")]
ZoneName: TypeAlias = Annotated[str, AfterValidator(_zone_name), Words("an IANA time zone, such as 'America/New_York'")]

# Stream names become metric labels and halt names: short, lower case, no quoting needed anywhere.
StreamKey: TypeAlias = Annotated[
    StreamName,
    Field(pattern=r"^[a-z][a-z0-9_-]{0,31}$"),
    AfterValidator(_stream_name),
    Words("a name of lower-case letters, digits, '-' and '_' that begins with a letter, at most 32 characters"),
]
# Service names of master.cf; `-`, `.` and `_` are seen in the field, spaces and colons break transport tables.
EgressKey: TypeAlias = Annotated[
    EgressName,
    Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"),
    AfterValidator(_egress_name),
    Words("the name of an smtp service of master.cf, such as 'out05'"),
]
EgressNames: TypeAlias = Annotated[
    tuple[EgressKey, ...], Field(strict=False), Words("an array of egresses, such as ['out05', 'out06']")
]
OperatorNames: TypeAlias = Annotated[
    tuple[Annotated[OperatorName, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,63}$"), Words("the name of an operator")], ...],
    Field(strict=False),
    Words("an array of operators, such as ['yahoo']"),
]
Senders: TypeAlias = Annotated[
    tuple[
        Annotated[
            str,
            Field(pattern=r'^[^\s@<>,"\x00-\x1f\x7f]*@[^\s@<>,"\x00-\x1f\x7f]+$', max_length=320),
            Words("an envelope sender 'user@domain', or '@domain' for all of a domain"),
        ],
        ...,
    ],
    Field(strict=False),
    Words("an array of envelope senders, such as ['root@example.org', '@cron.example.org']"),
]
Domains: TypeAlias = Annotated[
    tuple[
        Annotated[
            str,
            Field(pattern=r"^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z0-9-]{2,63}$", max_length=253),
            Words("a domain in lower case, such as 'yahoo.com'"),
        ],
        ...,
    ],
    Field(strict=False),
    Words("an array of domains, such as ['yahoo.com', 'aol.com']"),
]
Networks: TypeAlias = Annotated[
    tuple[Annotated[values.Network, PlainValidator(readers.read_network)], ...],
    Field(strict=False),
    Words("an array of IP addresses and networks, such as ['172.18.0.5', '172.19.0.0/24']"),
]
Services: TypeAlias = Annotated[
    tuple[
        Annotated[
            str,
            Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._/-]{0,99}$"),
            AfterValidator(readers.service_name),
            Words("a syslog name or tag, such as 'postfix/submission'"),
        ],
        ...,
    ],
    Field(strict=False),
    Words("an array of syslog names or tags of smtpd services, such as ['postfix/submission']"),
]
SyslogName: TypeAlias = Annotated[
    str,
    Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._/-]{0,99}$"),
    AfterValidator(_own_syslog_name),
    Words("a syslog name, such as 'postfix/out05'"),
]
# RFC 1123 2.1 with the lengths of RFC 1035 2.3.4; at least two labels, as FCrDNS needs a name in public DNS.
HostName: TypeAlias = Annotated[
    str,
    Field(pattern=r"^([A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z0-9-]{1,63}$", max_length=253),
    Words("a full host name, such as 'mta05.example.org'"),
]
BindAddress: TypeAlias = Annotated[values.Address, PlainValidator(readers.read_address), Words("one IP address")]
LadderTable: TypeAlias = Annotated[
    values.Ladder, PlainValidator(readers.read_ladder), Words("a table of day = value, days ascending from 0")
]
PostfixLogText: TypeAlias = Annotated[
    values.PostfixLog, PlainValidator(readers.read_postfix_log), Words("an absolute path, or 'journal:UNIT.service'")
]
OpendkimLogText: TypeAlias = Annotated[
    values.OpendkimLog,
    PlainValidator(readers.read_opendkim_log),
    Words("'journal:UNIT.service', an absolute path, 'mail.log' or 'none'"),
]
StoreUrlText: TypeAlias = Annotated[
    values.StoreUrl,
    PlainValidator(readers.read_store_url),
    Words("'sqlite:/absolute/path' or 'postgresql://user@host/database'"),
]
ListenText: TypeAlias = Annotated[
    values.ListenAddress,
    PlainValidator(readers.read_listen_address),
    Words("an IP address and a port, such as '127.0.0.1:9850' or '[::1]:9850'"),
]

"""From bytes to settings, and what the settings say about themselves."""

from __future__ import annotations

import json
import re
import tomllib
from datetime import UTC, date, datetime, time
from ipaddress import IPv4Network, ip_network
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pwmtad.config import (
    FileLog,
    InPostfixLog,
    JournalLog,
    Ladder,
    ListenAddress,
    NoLog,
    PostgresUrl,
    Settings,
    SqliteUrl,
    describe,
    diff_settings,
    load_settings,
    markdown_table,
)
from pwmtad.config.schema import keys_of, kind_at
from pwmtad.config.show import dotted, listed, show
from pwmtad.model.errors import ConfigError
from pwmtad.model.names import NO_STREAM
from pwmtad.model.postfix import Clone

ROOT = Path(__file__).parents[3]
EXAMPLE = ROOT / "etc" / "pwmtad.toml"
DOCUMENT = ROOT / "docs" / "configuration.md"

STREAM = """
[streams.trucking]
egresses = ["out02", "out05", "out06", "out07"]
retired = ["out02"]
pool = true
[streams.trucking.warmup]
start = 2026-06-02T00:00:00Z
"""


def load(text: str) -> Settings:
    settings = load_settings(text.encode(), file="test.toml")
    assert isinstance(settings, Settings), settings
    return settings


def mistakes(data: bytes) -> tuple[ConfigError, ...]:
    found = load_settings(data, file="test.toml")
    assert isinstance(found, tuple)
    return found


# The shipped files


def test_the_shipped_example_is_valid_and_observes() -> None:
    settings = load(EXAMPLE.read_text(encoding="utf-8"))
    assert settings.mode == "observe"
    assert list(settings.streams) == ["trucking", "healthcare"]
    assert settings.pool_stream == "trucking"


def test_burned_egresses_of_the_example_stay_in_their_stream_and_out_of_the_pool() -> None:
    settings = load(EXAMPLE.read_text(encoding="utf-8"))
    trucking = settings.streams[settings.stream_of_egress("out03")]
    assert [len(trucking.egresses_at(day)) for day in (0, 3, 4, 8, 12, 18, 25, 400)] == [3, 3, 5, 8, 12, 16, 16, 16]
    assert trucking.egresses_at(0) == ("out05", "out06", "out07")
    assert settings.stream_of_egress("out01") == "healthcare"
    assert settings.streams["healthcare"].injector_services == ("postfix/hc2526", "postfix/hc2527", "postfix/hc2528")  # type: ignore[index]


def test_the_example_shows_every_key_that_is_not_of_another_host() -> None:
    # A key that is commented out counts; the table it stands in is the last one named.
    shown: set[str] = set()
    table = ""
    for line in EXAMPLE.read_text(encoding="utf-8").splitlines():
        if header := re.fullmatch(r"(?:# )?\[([a-z0-9_.]+)\]", line):
            table = re.sub(r"^(streams|egresses)\.[a-z0-9]+", r"\1.NAME", header[1]) + "."
        elif key := re.match(r"(?:# )?([a-z_]+) = ", line):
            shown.add(table + key[1])
    assert {key.path for key in describe()} <= shown


def test_what_the_example_shows_as_defaults_are_the_defaults() -> None:
    text = EXAMPLE.read_text(encoding="utf-8")
    shared_tables = text[: text.index("# ---- Streams")]
    uncommented = re.sub(r"(?m)^# ([a-z_]+ = .*)$", r"\1", shared_tables)
    raw = tomllib.loads(re.sub(r"(?m)^(password_file|files|stop_files|postfix = \"journal).*$", "", uncommented))
    assert Settings() == load(toml_of(raw))


def test_the_document_holds_the_table_of_all_keys() -> None:
    # To renew it: .venv/bin/python -c "from pwmtad.config import markdown_table; print(markdown_table())"
    assert markdown_table() in DOCUMENT.read_text(encoding="utf-8")


def test_every_key_is_described_in_words_and_with_a_reason() -> None:
    for key in describe():
        assert key.takes not in ("", "a table"), key.path
        assert len(key.about) > 20, key.path
        assert "|" not in key.takes + key.default + key.about, "would break the table"


# Values


def test_an_empty_file_means_the_defaults() -> None:
    assert load("") == Settings()
    assert Settings().streams == {}
    assert Settings().clones is None
    assert Settings().pool_stream is None


def test_a_byte_order_mark_and_windows_line_ends_do_not_matter() -> None:
    assert load_settings(b'\xef\xbb\xbfmode = "enforce"\r\n', file="test.toml") == load('mode = "enforce"')


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("/var/log/postfix.log", FileLog("/var/log/postfix.log")),
        ("journal:postfix@-.service", JournalLog("postfix@-.service")),
        ("journal:postfix.service", JournalLog("postfix.service")),
    ],
)
def test_postfix_logs_to_a_file_or_to_the_journal(text: str, value: object) -> None:
    assert load(f'[log]\npostfix = "{text}"').log.postfix == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("mail.log", InPostfixLog()),
        ("none", NoLog()),
        ("journal:opendkim.service", JournalLog("opendkim.service")),
        ("/var/log/opendkim.log", FileLog("/var/log/opendkim.log")),
    ],
)
def test_opendkim_logs_to_one_of_four_places(text: str, value: object) -> None:
    assert load(f'[log]\nopendkim = "{text}"').log.opendkim == value


def test_the_time_zone_is_ready_for_use_and_utc_needs_no_database() -> None:
    assert load("").log.zone is UTC
    assert load('[log]\ntimezone = "America/New_York"').log.zone == ZoneInfo("America/New_York")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("sqlite:/var/lib/x.db", SqliteUrl("/var/lib/x.db")),
        ("sqlite:///var/lib/x.db", SqliteUrl("/var/lib/x.db")),
        ("postgresql://pwmtad@db.example.org:5433/p", PostgresUrl("postgresql://pwmtad@db.example.org:5433/p")),
        ("postgres:///p?host=/run/postgresql", PostgresUrl("postgres:///p?host=/run/postgresql")),
    ],
)
def test_a_store_is_sqlite_or_postgresql(text: str, value: object) -> None:
    assert load(f'[store]\nurl = "{text}"').store.url == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("127.0.0.1:1", ListenAddress("127.0.0.1", 1)),
        ("[::1]:65535", ListenAddress("::1", 65535)),
        ("localhost:9850", ListenAddress("localhost", 9850)),
    ],
)
def test_loopback_addresses_need_no_permission(text: str, value: object) -> None:
    assert load(f'[http]\nlisten = "{text}"').http.listen == value


def test_another_address_is_listened_on_when_that_is_allowed() -> None:
    http = load('[http]\nlisten = "[2001:db8::1]:80"\nallow_remote = true').http
    assert http.listen == ListenAddress("2001:db8::1", 80)
    assert not http.listen.is_loopback


def test_injectors_are_networks_and_syslog_names() -> None:
    stream = next(
        iter(
            load(
                '[streams.a]\negresses = ["out05"]\nwarmup.start_file = "/etc/stamp"\n'
                'injector_clients = ["172.18.0.5", "2001:db8::/64"]\n'
                'injector_services = ["postfix/hc2526/smtpd", "postfix/hc2527"]'
            ).streams.values()
        )
    )
    assert stream.injector_clients == (IPv4Network("172.18.0.5/32"), ip_network("2001:db8::/64"))
    assert stream.injector_services == ("postfix/hc2526", "postfix/hc2527")
    assert stream.warmup.start_at is None


def test_the_start_of_warmup_is_an_instant_whatever_its_offset() -> None:
    text = STREAM.replace("2026-06-02T00:00:00Z", "2026-06-01T20:00:00-04:00")
    [stream] = load(text).streams.values()
    assert stream.warmup.start_at == datetime(2026, 6, 2, tzinfo=UTC).timestamp()


def test_egresses_given_in_the_file_look_like_clones_of_master_cf() -> None:
    settings = load(
        '[egresses.out05]\naddress = "192.0.2.94"\nsyslog_name = "postfix/out05"\nhelo_name = "mta05.example.org"\n'
        '[egresses.out06]\naddress = "2001:db8::95"\nsyslog_name = "postfix-out06"\n'
    )
    assert settings.clones == (
        Clone("out05", bind_address="192.0.2.94", helo_name="mta05.example.org", syslog_name="postfix/out05"),
        Clone("out06", bind_address6="2001:db8::95", syslog_name="postfix-out06"),
    )


def test_settings_can_not_be_changed() -> None:
    settings = load(STREAM)
    with pytest.raises(ValueError, match="frozen"):
        settings.mode = "enforce"  # type: ignore[misc]
    with pytest.raises(TypeError):
        settings.streams["other"] = None  # type: ignore[index]


def test_settings_that_were_used_equal_settings_that_were_not() -> None:
    used = load(STREAM)
    assert used.stream_of_egress("out02") == "trucking"
    assert used.stream_of_egress("out99") == NO_STREAM
    assert used.log.zone is UTC
    assert used == load(STREAM)


def test_a_stream_without_a_pool_uses_all_its_egresses_from_the_first_day() -> None:
    [stream] = load(STREAM.replace("pool = true", "pool = false")).streams.values()
    assert stream.egresses_at(0) == ("out05", "out06", "out07")


def test_the_default_pool_ladder_is_cut_to_the_egresses_there_are() -> None:
    [stream] = load(STREAM.replace('"out07"', '"out07", "out08"')).streams.values()
    assert [len(stream.egresses_at(day)) for day in (0, 4, 25)] == [3, 4, 4]


# Ladders


ladders = st.dictionaries(st.integers(1, 3650), st.integers(1, 1000), max_size=8).flatmap(
    lambda rungs: st.integers(1, 1000).map(lambda first: Ladder(tuple(sorted({0: first, **rungs}.items()))))
)


@given(ladders, st.integers(-10, 4000))
def test_the_value_of_a_day_is_that_of_the_last_rung_not_after_it(ladder: Ladder, day: int) -> None:
    expected = ladder.rungs[0][1]
    for rung_day, value in ladder.rungs:
        if rung_day <= day:
            expected = value
    assert ladder.value_at(day) == expected
    assert ladder.value_at(day) <= ladder.max_value


@given(ladders)
def test_a_ladder_written_to_a_file_is_read_back(ladder: Ladder) -> None:
    text = STREAM.replace("pool = true", "ceiling_per_day = 10000") + f"window_ladder_per_hour = {ladder.as_toml()}"
    [stream] = load(text).streams.values()
    assert stream.warmup.window_ladder_per_hour == ladder


def test_the_default_ladders_are_the_runbooks() -> None:
    [stream] = load(STREAM).streams.values()
    assert stream.warmup.pool_ladder.as_toml() == "{ 0 = 3, 4 = 5, 8 = 8, 12 = 12, 18 = 16, 25 = 19 }"
    assert stream.warmup.window_ladder_per_hour.as_toml() == "{ 0 = 50, 2 = 150, 4 = 250, 7 = 300 }"


# What must not break it


def test_toml_of_no_sensible_size_is_told_and_not_raised() -> None:
    for data in (b"a = " + b"[" * 100_000, b"a = " + b"9" * 5000):
        [mistake] = mistakes(data)
        assert mistake.path == ""
        assert mistake.expected == "TOML of a sensible size"


def test_a_number_too_large_to_be_written_is_still_told() -> None:
    [mistake] = mistakes(b"[dkim]\ngrace_s = 0x" + b"f" * 5000)
    assert (mistake.path, mistake.found) == ("dkim.grace_s", "a very large number")


def test_a_relation_is_not_judged_by_a_key_that_was_refused() -> None:
    # The default pool ladder and the default ceiling would both have been broken by these windows.
    text = STREAM + 'pool_ladder = { 0 = "3" }\nwindow_ladder_per_hour = { 0 = 20000 }'
    text = text.replace("pool = true", 'pool = true\nceiling_per_day = "30000"')
    assert [mistake.path for mistake in mistakes(text.encode())] == [
        "streams.trucking.ceiling_per_day",
        "streams.trucking.warmup.pool_ladder.0",
    ]


def test_the_size_of_a_pool_is_not_judged_while_its_egresses_are_refused() -> None:
    for egresses in ('"out05"', '["out05", 6]'):
        text = f"[streams.a]\negresses = {egresses}\npool = true\nwarmup.start_file = '/x'\nwarmup.pool_ladder = {{ 0 = 9 }}"
        [mistake] = mistakes(text.encode())
        assert mistake.path.startswith("streams.a.egresses")


def toml_of(value: object) -> str:
    """Write a table as TOML; strings by JSON's rules, which TOML shares but for DEL."""
    if isinstance(value, dict):
        lines = [f"{key_of(key)} = {inline(item)}" for key, item in value.items()]
        return "\n".join(lines)
    return inline(value)


def key_of(key: str) -> str:
    return json.dumps(key, ensure_ascii=False).replace("\x7f", "\\u007f")


def inline(value: object) -> str:
    match value:
        case dict():
            return "{ " + ", ".join(f"{key_of(key)} = {inline(item)}" for key, item in value.items()) + " }"
        case list():
            return "[" + ", ".join(inline(item) for item in value) + "]"
        case bool():
            return "true" if value else "false"
        case str():
            return key_of(value)
        case datetime() | date() | time():
            return value.isoformat()
        case _:
            return str(value)


texts = st.text(st.characters(codec="utf-8"), max_size=20)
leaves = (
    st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False, allow_infinity=False).map(lambda number: float(f"{number:.3f}") if abs(number) < 1e9 else 1.5)
    | texts
    | st.sampled_from(
        ["out05", "out06", "172.18.0.5", "172.18.0.0/16", "journal:a.service", "mail.log", "/x", "/y", ":", "://@"]
    )
    | st.datetimes(min_value=datetime(1990, 1, 1), max_value=datetime(2200, 1, 1))  # noqa: DTZ001 - TOML has local times
    | st.dates()
    | st.times()
)
trees = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4), max_leaves=8
)
known_keys = [
    key.path.replace("NAME", "trucking" if key.path.startswith("streams") else "out05").split(".") for key in describe()
]


@given(st.binary(max_size=200))
def test_any_bytes_are_settings_or_mistakes(data: bytes) -> None:
    assert isinstance(load_settings(data, file="test.toml"), Settings | tuple)


@given(st.lists(st.tuples(st.sampled_from(known_keys), st.integers(0, 4), trees), min_size=1, max_size=6))
def test_any_value_at_any_place_is_told_in_bounded_printable_text(changes: list[tuple[list[str], int, object]]) -> None:
    raw = tomllib.loads(STREAM + '[egresses.out05]\naddress = "192.0.2.94"\nsyslog_name = "postfix/out05"')
    for path, depth, value in changes:
        *tables, key = path[: len(path) - depth] or path
        table: object = raw
        for name in tables:
            table = table.setdefault(name, {}) if isinstance(table, dict) else None
        if isinstance(table, dict):
            table[key] = value
    found = load_settings(toml_of(raw).encode(), file="test.toml")
    if isinstance(found, Settings):
        return
    assert found
    assert len(set(found)) == len(found)
    for mistake in found:
        assert mistake.file == "test.toml"
        assert mistake.expected
        assert len(mistake.found) <= 80
        assert len(mistake.path) <= 200
        assert (mistake.path + mistake.found + mistake.expected + mistake.hint).isprintable()


@given(st.text(st.characters(codec="utf-8", exclude_characters="'\""), min_size=1))
def test_what_follows_a_scheme_is_never_shown(secret: str) -> None:
    raw = {"store": {"url": f"postgresql:{secret}\x00", "uri": f"postgresql://{secret}"}, "http": {"listen": f"://{secret}"}}
    shown = {mistake.path: mistake.found for mistake in mistakes(toml_of(raw).encode())}
    assert shown == {
        "http.listen": "'://...'",
        "store.uri": "'postgresql://...'",
        "store.url": "'postgresql' and what follows (not shown)",
    }


def test_a_store_url_without_a_scheme_is_not_shown_either() -> None:
    [mistake] = mistakes(b'[store]\nurl = "hunter2"')
    assert mistake.found == "a text (not shown)"


# Showing


def test_nothing_is_known_of_a_place_that_the_file_does_not_have() -> None:
    assert kind_at(("metrics", "listen")) is None
    assert kind_at(("mode", "listen")) is None
    assert keys_of(("streams",)) == ()


def test_paths_and_values_are_shown_as_a_file_writes_them() -> None:
    assert dotted(("streams", "a b", "egresses", 2)) == "streams.'a b'.egresses[2]"
    assert show(None) == "nothing"
    assert show(datetime(2026, 6, 2, tzinfo=UTC)) == "2026-06-02T00:00:00Z"
    assert show(("a", True)) == "['a', true]"
    assert show(NoLog()) == "'none'"
    assert show("x" * 200) == "'" + "x" * 78 + "…"
    assert listed(["a"]) == "a"


# Differences


def test_a_reload_tells_each_key_that_changed() -> None:
    old = load(STREAM)
    new = load(
        STREAM.replace('retired = ["out02"]', 'retired = ["out02", "out05"]\ninjector_clients = ["192.0.2.1"]').replace(
            "start = 2026-06-02T00:00:00Z", "start_file = '/etc/stamp'\nwindow_ladder_per_hour = { 0 = 20 }"
        )
        + '[http]\nlisten = "[::1]:9850"\n[store]\nurl = "postgresql://pwmtad@db.example.org/p"\n'
        + '[log]\npostfix = "journal:postfix@-.service"\nopendkim = "journal:o.service"\n'
    )
    assert diff_settings(old, new) == (
        "http.listen: '127.0.0.1:9850' -> '[::1]:9850'",
        "log.opendkim: 'journal:opendkim.service' -> 'journal:o.service'",
        "log.postfix: '/var/log/mail.log' -> 'journal:postfix@-.service'",
        "store.url: 'sqlite:/var/lib/pwmtad/pwmtad.db' -> 'postgresql://pwmtad@db.example.org/p'",
        "streams.trucking.injector_clients: [] -> [192.0.2.1/32]",
        "streams.trucking.retired: ['out02'] -> ['out02', 'out05']",
        "streams.trucking.warmup.start: 2026-06-02T00:00:00Z -> nothing",
        "streams.trucking.warmup.start_file: nothing -> '/etc/stamp'",
        "streams.trucking.warmup.window_ladder_per_hour: { 0 = 50, 2 = 150, 4 = 250, 7 = 300 } -> { 0 = 20 }",
    )


def test_a_stream_that_goes_is_told_key_by_key() -> None:
    told = diff_settings(load(STREAM), load('[log]\nopendkim = "mail.log"'))
    assert "log.opendkim: 'journal:opendkim.service' -> 'mail.log'" in told
    assert "streams.trucking.pool: true -> absent" in told
    assert diff_settings(load(STREAM), load(STREAM)) == ()

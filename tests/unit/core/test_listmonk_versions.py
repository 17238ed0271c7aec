"""Which version it is, and what is believed of one that does not say."""

from __future__ import annotations

import pytest

from pwmtad.core.listmonk_versions import LEAST_BATCH_OF_V3, parse_version, traits_of
from pwmtad.model.listmonk import Version


def test_a_version_is_read_with_and_without_its_letter() -> None:
    assert parse_version("v6.2.0") == parse_version("6.2.0") == Version(6, 2, 0)
    assert str(Version(5, 0, 3)) == "v5.0.3"


@pytest.mark.parametrize("text", ["", "v6.2", "v6.2.0-beta", "nightly (abc1234)", "v6.2.0\n", "v\u0666.2.0", "v99999.0.0"])
def test_what_is_no_released_version_is_none(text: str) -> None:
    assert parse_version(text) is None


@pytest.mark.parametrize(
    ("text", "by_key", "extra", "first_counts"),
    [
        ("v3.0.0", False, 1, True),
        ("v4.1.0", False, 1, True),
        ("v5.0.0", False, 1, True),
        ("v5.1.0", False, 1, True),
        ("v6.0.0", True, 1, True),
        ("v6.1.0", True, 0, False),
        ("v6.2.0", True, 0, False),
    ],
)
def test_each_version_has_its_ways(text: str, by_key: bool, extra: int, first_counts: bool) -> None:
    traits = traits_of(text)
    assert (traits.by_key, traits.extra, traits.first_counts) == (by_key, extra, first_counts)
    assert traits.known
    assert traits.supported
    assert traits.least_batch == (LEAST_BATCH_OF_V3 if text.startswith("v3") else 1)


@pytest.mark.parametrize(
    ("text", "see", "pause", "scoped"),
    [
        ("v3.0.0", "", "", False),
        ("v4.0.0", "campaigns:get", "campaigns:manage", False),
        ("v5.1.0", "campaigns:get_all", "campaigns:manage_all", True),
        ("v6.0.0", "campaigns:get_all", "campaigns:manage_all", True),
        ("v6.1.0", "campaigns:get_all", "campaigns:send", True),
    ],
)
def test_each_version_asks_for_its_permissions(text: str, see: str, pause: str, scoped: bool) -> None:
    traits = traits_of(text)
    assert (traits.see_right, traits.pause_right, traits.scoped) == (see, pause, scoped)


def test_versions_that_are_too_old_or_newer_than_known_are_told() -> None:
    assert not traits_of("v2.5.1").supported
    newer = traits_of("v7.0.0")
    assert (newer.supported, newer.known, newer.by_key, newer.extra) == (True, False, True, 1)


@pytest.mark.parametrize(
    ("fields", "by_key", "scoped"),
    [
        ((), False, False),
        (("security.oidc",), False, False),
        (("security.oidc", "privacy.domain_allowlist"), False, True),
        (("body_source",), False, True),
        (("attribs", "body_source", "security.oidc"), True, True),
    ],
)
def test_a_nightly_build_is_known_by_what_it_shows_and_taken_for_the_older_in_doubt(
    fields: tuple[str, ...], by_key: bool, scoped: bool
) -> None:
    traits = traits_of("nightly \x1b[31m(abc1234)", fields)
    assert (traits.known, traits.by_key, traits.scoped, traits.extra) == (False, by_key, scoped, 1)
    assert traits.name.isprintable()

"""I11: settings read and written back never store a mask as a secret."""

from __future__ import annotations

import json
from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pwmtad.core.listmonk_masks import MASK, whole_settings
from pwmtad.core.listmonk_window import DURATION, FLAG, RATE

CHANGES = ((FLAG, True), (RATE, 2), (DURATION, "25s"))


def shown(**more: Any) -> dict[str, Any]:
    """What GET shows."""
    return {
        FLAG: False,
        RATE: 10_000,
        DURATION: "1h",
        "app.site_name": "Mailing list",
        "smtp": [{"uuid": "a", "name": "email-one", "host": "mx", "password": MASK * 7, "email_headers": []}],
        "messengers": [{"uuid": "b", "name": "sms", "password": MASK * 3}],
        "bounce.mailboxes": [{"uuid": "c", "name": "Odd Name", "password": MASK}, {"uuid": "d", "password": ""}],
        "upload.s3.aws_secret_access_key": MASK * 9,
        "bounce.sendgrid_key": "",
        "bounce.postmark": {"enabled": False, "username": "", "password": MASK},
        "security.captcha": {"hcaptcha": {"enabled": True, "key": "k", "secret": MASK * 2}},
        "security.oidc": {"client_id": "x", "client_secret": MASK * 5},
        **more,
    }


def test_secrets_are_blank_and_all_else_stays_as_it_was() -> None:
    given_ = shown()
    before = deepcopy(given_)
    values = whole_settings(given_, CHANGES)
    assert isinstance(values, dict)
    assert MASK not in json.dumps(values, ensure_ascii=False)
    assert values["smtp"][0] == {**before["smtp"][0], "password": ""}
    assert values["security.captcha"]["hcaptcha"] == {"enabled": True, "key": "k", "secret": ""}
    assert (values[FLAG], values[RATE], values[DURATION]) == (True, 2, "25s")
    assert values.keys() == before.keys()
    assert given_ == before


@pytest.mark.parametrize(
    "more",
    [
        {"app.site_name": f"News {MASK} Weekly"},
        {"security.new_secret": MASK * 8},
        {"bounce.new": {"keys": [{"secret": MASK}]}},
        {"smtp": [{"uuid": "a", "name": "email-one", "password": "x" + MASK}]},
        {"upload.s3.aws_secret_access_key": [MASK]},
    ],
)
def test_while_a_bullet_remains_nothing_is_written(more: dict[str, Any]) -> None:
    why = whole_settings(shown(**more), CHANGES)
    assert isinstance(why, str)
    assert "holds a bullet" in why


@pytest.mark.parametrize("uuids", [({}, {}), ({"uuid": "a"}, {"uuid": "a"}), ({"uuid": ""}, {})])
def test_servers_that_listmonk_can_not_tell_apart_would_share_a_password_so_nothing_is_written(
    uuids: tuple[dict[str, str], dict[str, str]],
) -> None:
    servers = [{**one, "name": "", "password": MASK * 4} for one in uuids]
    why = whole_settings(shown(smtp=servers), CHANGES)
    assert isinstance(why, str)
    assert "give them one password" in why


def test_one_server_without_a_uuid_keeps_its_password() -> None:
    values = whole_settings(shown(smtp=[{"name": "", "password": MASK * 4}, {"uuid": "b", "password": ""}]), CHANGES)
    assert isinstance(values, dict)
    assert values["smtp"][0]["password"] == ""


@pytest.mark.parametrize(
    "more",
    [
        {"smtp": [{"uuid": "a", "name": "Main server", "password": ""}]},
        {"smtp": [{"uuid": "a", "name": "server", "password": ""}]},
        {"smtp": [{"uuid": "a", "name": 7, "password": ""}]},
        {"messengers": [{"uuid": "a", "name": "SMS", "password": ""}]},
    ],
)
def test_a_name_that_listmonk_would_rewrite_would_cancel_campaigns_so_nothing_is_written(more: dict[str, Any]) -> None:
    why = whole_settings(shown(**more), CHANGES)
    assert isinstance(why, str)
    assert "campaigns that use it would be cancelled" in why


def test_settings_without_a_send_window_are_not_written() -> None:
    settings = shown()
    del settings[RATE]
    assert whole_settings(settings, CHANGES) == f"its settings have no {RATE}"


def test_odd_shapes_are_handed_on() -> None:
    odd: dict[str, Any] = {
        "smtp": None, "messengers": [1, None], "security.oidc": None, "security.captcha": {"hcaptcha": 5}, "bounce.azure": [],
    }  # fmt: skip
    values = whole_settings(shown(**odd), CHANGES)
    assert isinstance(values, dict)
    assert {key: values[key] for key in odd} == odd


texts = st.text(st.sampled_from("ab" + MASK), max_size=4)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=12,
)
secrets = st.dictionaries(
    st.sampled_from(["smtp", "messengers", "bounce.mailboxes", "security.oidc", "bounce.sendgrid_key", "anything"]),
    json_values | st.lists(st.fixed_dictionaries({"password": texts, "uuid": texts, "name": texts}), max_size=3),
)


@given(secrets)
def test_i11_whatever_is_shown_no_bullet_is_ever_written_as_a_value(more: dict[str, Any]) -> None:
    values = whole_settings(shown(**more), CHANGES)
    if isinstance(values, dict):
        assert MASK not in "".join(texts_of(values))


def texts_of(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, list):
        return [text for one in value for text in texts_of(one)]
    if isinstance(value, dict):
        return [text for one in value.values() for text in texts_of(one)]
    return []

"""Every key of the settings: its JSON type, what a fresh database holds, and since which version there is one.

In: a version. Out: the keys it knows. Keys that other versions know are neither shown nor written.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from tests.tools.listmonk.shapes import BOOL, INT, STR, Fields, ListOf, MapOf, Shape
from tests.tools.listmonk.versions import Version


class Key(NamedTuple):
    """One key."""

    shape: Shape
    fresh: Any
    since: Version = Version(3, 0, 0)
    before: Version = Version(99, 0, 0)


_STRS: Final = ListOf(STR)

SMTP: Final = Fields(
    name=STR, uuid=STR, enabled=BOOL, host=STR, hello_hostname=STR, port=INT, auth_protocol=STR, username=STR, password=STR,
    email_headers=ListOf(MapOf(STR)), max_conns=INT, max_msg_retries=INT, idle_timeout=STR, wait_timeout=STR, tls_type=STR,
    tls_skip_verify=BOOL,
)  # fmt: skip
_MESSENGER: Final = Fields(
    uuid=STR, enabled=BOOL, name=STR, root_url=STR, username=STR, password=STR, max_conns=INT, timeout=STR,
    max_msg_retries=INT,
)  # fmt: skip
_MAILBOX: Final = Fields(
    uuid=STR, enabled=BOOL, type=STR, host=STR, port=INT, auth_protocol=STR, return_path=STR, username=STR, password=STR,
    tls_enabled=BOOL, tls_skip_verify=BOOL, scan_interval=STR,
)  # fmt: skip
_POSTMARK: Final = Fields(enabled=BOOL, username=STR, password=STR)
_KEYED: Final = Fields(enabled=BOOL, key=STR)
_AZURE: Final = Fields(enabled=BOOL, shared_secret=STR, shared_secret_header=STR)
_OIDC: Final = Fields(enabled=BOOL, provider_url=STR, client_id=STR, client_secret=STR)
_CAPTCHA: Final = Fields(
    altcha=Fields(enabled=BOOL, complexity=INT), hcaptcha=Fields(enabled=BOOL, key=STR, secret=STR)
)  # fmt: skip
_ACTIONS: Final = MapOf(Fields(count=INT, action=STR))

_V4: Final = Version(4, 0, 0)
_V5: Final = Version(5, 0, 0)
_V6: Final = Version(6, 0, 0)
_V62: Final = Version(6, 2, 0)

ALL: Final[dict[str, Key]] = {
    "app.site_name": Key(STR, "Mailing list"),
    "app.root_url": Key(STR, "http://localhost:9000"),
    "app.logo_url": Key(STR, ""),
    "app.favicon_url": Key(STR, ""),
    "app.from_email": Key(STR, "listmonk <noreply@listmonk.example>"),
    "app.notify_emails": Key(_STRS, []),
    "app.enable_public_subscription_page": Key(BOOL, True),
    "app.enable_public_archive": Key(BOOL, True),
    "app.enable_public_archive_rss_content": Key(BOOL, False),
    "app.send_optin_confirmation": Key(BOOL, True),
    "app.check_updates": Key(BOOL, True),
    "app.lang": Key(STR, "en"),
    "app.batch_size": Key(INT, 1000),
    "app.concurrency": Key(INT, 10),
    "app.max_send_errors": Key(INT, 1000),
    "app.message_rate": Key(INT, 10),
    "app.cache_slow_queries": Key(BOOL, False),
    "app.cache_slow_queries_interval": Key(STR, "0 3 * * *"),
    "app.message_sliding_window": Key(BOOL, False),
    "app.message_sliding_window_duration": Key(STR, "1h"),
    "app.message_sliding_window_rate": Key(INT, 10000),
    "privacy.individual_tracking": Key(BOOL, False),
    "privacy.unsubscribe_header": Key(BOOL, True),
    "privacy.allow_blocklist": Key(BOOL, True),
    "privacy.allow_preferences": Key(BOOL, True),
    "privacy.allow_export": Key(BOOL, True),
    "privacy.allow_wipe": Key(BOOL, True),
    "privacy.exportable": Key(_STRS, ["profile", "subscriptions", "campaign_views", "link_clicks"]),
    "privacy.record_optin_ip": Key(BOOL, False),
    "privacy.domain_blocklist": Key(_STRS, []),
    "privacy.domain_allowlist": Key(_STRS, [], _V5),
    "security.enable_captcha": Key(BOOL, False, before=_V6),
    "security.captcha_key": Key(STR, "", before=_V6),
    "security.captcha_secret": Key(STR, "", before=_V6),
    "security.captcha": Key(
        _CAPTCHA,
        {"altcha": {"enabled": False, "complexity": 300000}, "hcaptcha": {"enabled": False, "key": "", "secret": ""}},
        _V6,
    ),
    "security.oidc": Key(_OIDC, {"enabled": False, "provider_url": "", "client_id": "", "client_secret": ""}, _V4),
    "security.trusted_urls": Key(_STRS, [], _V6),
    "upload.provider": Key(STR, "filesystem"),
    "upload.extensions": Key(_STRS, ["jpg", "jpeg", "png", "gif", "svg", "*"]),
    "upload.filesystem.upload_path": Key(STR, "uploads"),
    "upload.filesystem.upload_uri": Key(STR, "/uploads"),
    "upload.s3.url": Key(STR, ""),
    "upload.s3.aws_access_key_id": Key(STR, ""),
    "upload.s3.aws_secret_access_key": Key(STR, "s3-secret"),
    "upload.s3.bucket": Key(STR, ""),
    "smtp": Key(ListOf(SMTP), []),
    "messengers": Key(ListOf(_MESSENGER), []),
    "bounce.enabled": Key(BOOL, True),
    "bounce.webhooks_enabled": Key(BOOL, True),
    "bounce.actions": Key(
        _ACTIONS,
        {
            "soft": {"count": 2, "action": "none"},
            "hard": {"count": 1, "action": "blocklist"},
            "complaint": {"count": 1, "action": "blocklist"},
        },
    ),
    "bounce.ses_enabled": Key(BOOL, False),
    "bounce.sendgrid_enabled": Key(BOOL, False),
    "bounce.sendgrid_key": Key(STR, ""),
    "bounce.postmark": Key(_POSTMARK, {"enabled": False, "username": "", "password": ""}),
    "bounce.forwardemail": Key(_KEYED, {"enabled": False, "key": ""}, _V4),
    "bounce.azure": Key(_AZURE, {"enabled": False, "shared_secret": "", "shared_secret_header": ""}, _V62),
    "bounce.lettermint": Key(_KEYED, {"enabled": False, "key": ""}, _V62),
    "bounce.mailboxes": Key(ListOf(_MAILBOX), []),
    "appearance.admin.custom_css": Key(STR, ""),
    "appearance.admin.custom_js": Key(STR, ""),
    "appearance.public.custom_css": Key(STR, ""),
    "appearance.public.custom_js": Key(STR, ""),
}
"""The secret of S3 is not empty, so that there is a mask besides those of SMTP."""

LISTED_SECRETS: Final = ("smtp", "bounce.mailboxes", "messengers")
"""Arrays whose elements have a `password`, kept by `uuid`."""

SINGLE_SECRETS: Final[tuple[tuple[str, ...], ...]] = (
    ("upload.s3.aws_secret_access_key",),
    ("bounce.sendgrid_key",),
    ("bounce.azure", "shared_secret"),
    ("bounce.postmark", "password"),
    ("bounce.forwardemail", "key"),
    ("bounce.lettermint", "key"),
    ("security.captcha_secret",),
    ("security.captcha", "hcaptcha", "secret"),
    ("security.oidc", "client_secret"),
)
"""Paths of all other secrets."""


def known(version: Version) -> dict[str, Key]:
    """Return the keys of this version."""
    return {name: key for name, key in ALL.items() if key.since <= version < key.before}

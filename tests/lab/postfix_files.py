"""What Postfix and OpenDKIM of the lab are configured with: as close as it gets to a sender's real host."""

from __future__ import annotations

from typing import Final

from tests.lab import world

MAIN_CF: Final = f"""\
# The lab's. Kept for reset in /var/lib/lab-pristine.
compatibility_level = 3.6
myhostname = {world.HOST_NAME}
mydestination = $myhostname, localhost
mynetworks = 127.0.0.0/8
inet_protocols = ipv4
inet_interfaces = {world.SMTPD}
alias_maps = hash:/etc/aliases
alias_database = hash:/etc/aliases
biff = no
append_dot_mydomain = no
recipient_delimiter = +
maillog_file = /var/log/mail.log
enable_long_queue_ids = yes
smtpd_tls_security_level = none
smtp_tls_security_level = none
smtpd_client_connection_count_limit = 0
smtpd_relay_restrictions = permit_mynetworks, defer_unauth_destination

# Mail of the healthcare stream leaves by its own egress, all else by the pool.
sender_dependent_default_transport_maps = regexp:/etc/postfix/healthcare-route, randmap:{{out02,out03,out04}}

smtpd_milters = inet:127.0.0.1:8891
non_smtpd_milters = inet:127.0.0.1:8891
milter_default_action = accept
milter_protocol = 6
"""


def _clone(name: str, address: str) -> str:
    return (
        f"{name} unix - - n - - smtp\n"
        "  -o syslog_name=postfix/$service_name\n"
        f"  -o smtp_bind_address={address} -o smtp_bind_address_enforce=yes\n"
        f"  -o smtp_helo_name={name}.lab.test\n"
    )


MASTER_CF: Final = (
    f"\n# ---- the lab's egresses and the healthcare stream's submission service\n"
    f"{world.SMTPD}:{world.HEALTHCARE_PORT} inet n - n - - smtpd\n"
    f"  -o syslog_name=postfix/hc{world.HEALTHCARE_PORT}\n"
    + "".join(_clone(name, address) for name, address in world.EGRESSES.items())
)


def healthcare_route() -> str:
    """Return the table that keeps the healthcare stream out of the pool: full addresses, because a randmap stands behind it."""
    return f"/@clinic\\.test$/ {world.HEALTHCARE_EGRESSES[0]}:\n"


OPENDKIM_CONF: Final = """\
Syslog yes
SyslogSuccess yes
LogWhy yes
UserID opendkim
UMask 007
Socket inet:8891@127.0.0.1
# Without it the unit waits 90 s and fails, although opendkim works.
PidFile /run/opendkim/opendkim.pid
Canonicalization relaxed/simple
Mode s
KeyTable /etc/opendkim/key.table
SigningTable refile:/etc/opendkim/signing.table
InternalHosts /etc/opendkim/internal-hosts
ExternalIgnoreList /etc/opendkim/internal-hosts
"""

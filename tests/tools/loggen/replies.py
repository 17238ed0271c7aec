"""What receivers say: replies as Postfix folds them into one line (each reply line keeps its `550-` prefix).

Texts follow what the operators document and what mail administrators post; addresses are RFC 5737 ones. `{ip}` is the
egress, `{token}` random, see model.Reply.
"""

from __future__ import annotations

from typing import Final

from tests.tools.loggen.model import ACCEPTED, BOUNCED, DEFERRED, LOST, REFUSED, SENT, UNREACHED, Reply

_DATA: Final = "end of DATA command"
_FROM: Final = "MAIL FROM command"


def _accepts(text: str) -> Reply:
    before, after = text.split("{token}")
    return Reply(ACCEPTED, SENT, text[4:9] if text[5] == "." else "2.0.0", text, ACCEPTED, halves=(before, after))


ACCEPTS: Final[dict[str, Reply]] = {
    "google": _accepts("250 2.0.0 OK  1764028800 {token}.45 - gsmtp"),
    "microsoft": _accepts(
        "250 2.6.0 <{token}@mailer.example> [InternalId=60408433016412, Hostname=BN0PR04MB8112.namprd04.prod.outlook.com] "
        "26318 bytes in 0.131, 93.7 KB/sec Queued mail for delivery"
    ),
    "yahoo": _accepts("250 ok dirdel {token}"),
    "cable": _accepts("250 2.0.0 {token} mail accepted for delivery"),
    "proofpoint": _accepts("250 2.0.0 {token}-1 Message accepted for delivery"),
    "other": _accepts("250 2.0.0 Ok: queued as {token}"),
}

_GOOGLE_HELP: Final = "https://support.google.com/mail/?p="

ALL: Final[tuple[Reply, ...]] = (
    # Google: the reply is folded in the middle of its sentences
    Reply(
        "google-unsolicited",
        BOUNCED,
        "5.7.1",
        "550-5.7.1 [{ip}      12] Gmail has detected that this message is 550-5.7.1 likely unsolicited mail. To reduce the "
        "amount of spam sent to Gmail, 550-5.7.1 this message has been blocked. For more information, go to 550 5.7.1  "
        f"{_GOOGLE_HELP}UnsolicitedMessageError {{token}}.112 - gsmtp",
        phase=_DATA,
        reply_class="reputation",
        varies=True,
    ),
    Reply(
        "google-unauthenticated",
        BOUNCED,
        "5.7.26",
        "550-5.7.26 Your email has been blocked because the sender is unauthenticated. 550-5.7.26 Gmail requires all "
        "senders to authenticate with either SPF or DKIM. 550-5.7.26  550-5.7.26  Authentication results: 550-5.7.26  "
        "DKIM = did not pass 550-5.7.26  SPF [mailer.example] with ip: [{ip}] = did not pass 550-5.7.26  550-5.7.26  For "
        "instructions on setting up authentication, go to 550 5.7.26  "
        "https://support.google.com/mail/answer/81126#authentication {token}.33 - gsmtp",
        phase=_DATA,
        reply_class="authentication",
        varies=True,
    ),
    Reply(
        "google-unusual-rate",
        DEFERRED,
        "4.7.28",
        "421-4.7.28 Gmail has detected an unusual rate of unsolicited mail originating 421-4.7.28 from your IP address. To "
        "protect our users from spam, mail has been 421-4.7.28 temporarily rate limited. For more information, go to "
        f"421 4.7.28  {_GOOGLE_HELP}UnsolicitedRateLimitError {{token}}.9 - gsmtp",
        phase=_DATA,
        reply_class="rate_limit",
        varies=True,
    ),
    Reply(
        "google-no-such-user",
        BOUNCED,
        "5.1.1",
        "550-5.1.1 The email account that you tried to reach does not exist. Please try 550-5.1.1 double-checking the "
        "recipient's email address for typos or 550-5.1.1 unnecessary spaces. For more information, go to 550 5.1.1  "
        f"{_GOOGLE_HELP}NoSuchUser {{token}}.71 - gsmtp",
        reply_class="hard_bounce",
        varies=True,
    ),
    Reply(
        "google-over-quota",
        DEFERRED,
        "4.2.2",
        "452-4.2.2 The recipient's inbox is out of storage space. Please direct the 452-4.2.2 recipient to 452 4.2.2  "
        f"{_GOOGLE_HELP}OverQuotaTemp {{token}}.5 - gsmtp",
        reply_class="mailbox_full",
        varies=True,
    ),
    # Microsoft
    Reply(
        "microsoft-banned-ip",
        BOUNCED,
        "5.7.606",
        "550 5.7.606 Access denied, banned sending IP [{ip}]. To request removal from this list please visit "
        "https://sender.office.com/ and follow the directions. For more information please go to "
        "http://go.microsoft.com/fwlink/?LinkID=526655 AS(1430) [{token}.eop-nam11.prod.protection.outlook.com]",
        reply_class="reputation",
        varies=True,
    ),
    Reply(
        "microsoft-block-list",
        BOUNCED,
        "5.7.1",
        "550 5.7.1 Unfortunately, messages from [{ip}] weren't sent. Please contact your Internet service provider since part "
        "of their network is on our block list (S3140). You can also refer your provider to "
        "http://mail.live.com/mail/troubleshooting.aspx#errors. [{token}.eop-nam11.prod.protection.outlook.com]",
        phase=_FROM,
        reply_class="reputation",
        varies=True,
    ),
    Reply(
        "microsoft-rate-limited",
        DEFERRED,
        "4.7.650",
        "451 4.7.650 The mail server [{ip}] has been temporarily rate limited due to IP reputation. For e-mail delivery "
        "information, see https://postmaster.live.com (S775) [{token}.eop-nam11.prod.protection.outlook.com]",
        phase=_FROM,
        reply_class="rate_limit",
        varies=True,
    ),
    Reply(
        "microsoft-busy",
        DEFERRED,
        "4.7.500",
        "451 4.7.500 Server busy. Please try again later from [{ip}]. (S77719) [{token}.eop-nam11.prod.protection.outlook.com]",
        phase=_FROM,
        reply_class="rate_limit",
        varies=True,
    ),
    Reply(
        "microsoft-mailbox-unavailable",
        BOUNCED,
        "5.5.0",
        "550 5.5.0 Requested action not taken: mailbox unavailable (S2017062302). "
        "[{token}.eop-nam11.prod.protection.outlook.com]",
        reply_class="hard_bounce",
        varies=True,
    ),
    Reply(
        "microsoft-access-denied",
        BOUNCED,
        "5.4.1",
        "550 5.4.1 Recipient address rejected: Access denied. For more information see https://aka.ms/EXOSmtpErrors "
        "[{token}.eop-nam11.prod.protection.outlook.com]",
        reply_class="hard_bounce",
        varies=True,
    ),
    Reply(
        "microsoft-dead-tenant",
        DEFERRED,
        "4.4.4",
        "451 4.4.4 Mail received as unauthenticated, incoming to a recipient domain configured in a hosted tenant which has "
        "no mail-enabled subscriptions. ATTR5 [{token}.eop-nam11.prod.protection.outlook.com]",
        reply_class="dead_domain",
        varies=True,
    ),
    # Yahoo
    Reply(
        "yahoo-tss04",
        DEFERRED,
        "4.7.0",
        "421 4.7.0 [TSS04] Messages from {ip} temporarily deferred due to unexpected volume or user complaints - 4.16.55.1; "
        "see https://postmaster.yahooinc.com/error-codes",
        phase=_FROM,
        reply_class="rate_limit",
        every_host=True,
        kills_site=True,
        varies=True,
    ),
    Reply(
        "yahoo-disabled",
        BOUNCED,
        "5.0.0",
        "554 delivery error: dd This mailbox is disabled (554.30). - mta4123.mail.ne1.yahoo.com",
        phase=_DATA,
        reply_class="hard_bounce",
    ),
    Reply(
        "yahoo-tss04-greeting",
        DEFERRED,
        "4.7.0",
        "421 4.7.0 [TSS04] Messages from {ip} temporarily deferred due to unexpected volume or user complaints - 4.16.55.1; "
        "see https://postmaster.yahooinc.com/error-codes",
        REFUSED,
        reply_class="rate_limit",
        every_host=True,
        kills_site=True,
        varies=True,
    ),
    # Cable and other operators
    Reply(
        "comcast-not-our-customer",
        BOUNCED,
        "5.1.1",
        "550 5.1.1 Not our Customer",
        reply_class="hard_bounce",
    ),
    Reply(
        "comcast-throttled",
        DEFERRED,
        "4.1.0",
        "421 4.1.0 {ip} Throttled - try again later. Please see https://postmaster.comcast.net/smtp-error-codes.php#RL000010",
        phase=_FROM,
        reply_class="rate_limit",
        varies=True,
    ),
    Reply(
        "charter-blocked",
        DEFERRED,
        "4.0.0",
        "554 p-impin004.msg.pkvw.co.charter.net cmsmtp {ip} blocked. Please see https://www.spectrum.net/support/internet/"
        "understanding-email-error-codes for more information. AUP#In-1000",
        REFUSED,
        reply_class="reputation",
        every_host=True,
        kills_site=True,
        varies=True,
    ),
    Reply(
        "cox-ipbl",
        DEFERRED,
        "4.0.0",
        "554 cxr.mx.a.cloudfilter.net cox {ip} ESMTP server not available. Refer to IPBL0100 at "
        "https://www.cox.com/residential/support/email-error-codes.html",
        REFUSED,
        reply_class="reputation",
        every_host=True,
        kills_site=True,
        varies=True,
    ),
    Reply(
        "apple-cs01",
        BOUNCED,
        "5.7.1",
        "554 5.7.1 [CS01] Message rejected due to local policy. Please visit https://support.apple.com/en-us/HT204137",
        phase=_DATA,
        reply_class="content",
    ),
    Reply(
        "proofpoint-blocked",
        BOUNCED,
        "5.7.0",
        "554 Blocked - see https://ipcheck.proofpoint.com/?ip={ip}",
        phase=_FROM,
        reply_class="reputation",
        varies=True,
    ),
    Reply(
        "luxsci-too-much",
        DEFERRED,
        "4.7.0",
        "421 4.7.0 Too many messages from {ip}, please slow down",
        phase=_FROM,
        reply_class="rate_limit",
        varies=True,
    ),
    # Anybody
    Reply(
        "greylisted",
        DEFERRED,
        "4.2.0",
        "450 4.2.0 <{rcpt}>: Recipient address rejected: Greylisted, see http://postgrey.example/help/{domain}.html",
        reply_class="greylist",
        varies=True,
    ),
    Reply(
        "mailbox-busy",
        DEFERRED,
        "4.2.1",
        "450 4.2.1 mailbox busy, retry",
        reply_class="greylist",
    ),
    Reply(
        "mailbox-full",
        BOUNCED,
        "5.2.2",
        "552 5.2.2 <{rcpt}>: user is over quota",
        reply_class="mailbox_full",
        varies=True,
    ),
    Reply(
        "unknown-user",
        BOUNCED,
        "5.1.1",
        "550 5.1.1 <{rcpt}>: Recipient address rejected: User unknown in virtual mailbox table",
        reply_class="hard_bounce",
        varies=True,
    ),
    Reply(
        "no-enhanced-code",
        BOUNCED,
        "5.0.0",
        "550 no such mailbox here",
        reply_class="hard_bounce",
    ),
    Reply(
        "lost-greeting",
        DEFERRED,
        "4.4.2",
        "lost connection with {label} while receiving the initial server greeting",
        LOST,
        reply_class="infrastructure",
        varies=True,
    ),
    Reply(
        "timed-out-data",
        DEFERRED,
        "4.4.2",
        "conversation with {label} timed out while sending end of data -- message may be sent more than once",
        LOST,
        reply_class="infrastructure",
        varies=True,
    ),
    # Nobody was reached
    Reply(
        "connect-timed-out",
        DEFERRED,
        "4.4.1",
        "connect to {label}:25: Connection timed out",
        UNREACHED,
        reply_class="infrastructure",
        kills_site=True,
        varies=True,
    ),
    Reply(
        "connect-refused",
        DEFERRED,
        "4.4.1",
        "connect to {label}:25: Connection refused",
        UNREACHED,
        reply_class="infrastructure",
        kills_site=True,
        varies=True,
    ),
    Reply(
        "no-such-domain",
        BOUNCED,
        "5.4.4",
        "Host or domain name not found. Name service error for name={domain} type=A: Host not found",
        UNREACHED,
        reply_class="dead_domain",
        varies=True,
    ),
    Reply(
        "name-server-failed",
        DEFERRED,
        "4.4.3",
        "Host or domain name not found. Name service error for name={domain} type=MX: Host not found, try again",
        UNREACHED,
        reply_class="infrastructure",
        varies=True,
    ),
    Reply(
        "null-mx",
        BOUNCED,
        "5.1.0",
        "Domain {domain} does not accept mail (nullMX)",
        UNREACHED,
        reply_class="dead_domain",
        varies=True,
    ),
    # A small domain that lies: what it says must move nothing
    Reply(
        "hostile-gmail-words",
        BOUNCED,
        "5.7.1",
        "550-5.7.1 Gmail has detected that this message is 550-5.7.1 likely unsolicited mail. 550 5.7.1 - gsmtp",
        phase=_DATA,
    ),
    Reply(
        "hostile-fake-record",
        DEFERRED,
        "4.7.1",
        "450 4.7.1 ok) bla, relay=mx.evil.example[192.0.2.1]:25, delay=1, delays=1/0/0/0, dsn=2.0.0, status=sent (250 2.0.0 "
        "queued",
    ),
    Reply(
        "hostile-fake-bounce",
        DEFERRED,
        "4.7.1",
        "421 4.7.0 [TSS04] no) x, relay=gmail-smtp-in.l.google.com[192.0.2.27]:25, delay=1, delays=1/0/0/0, dsn=5.7.1, "
        "status=bounced (host gmail-smtp-in.l.google.com[192.0.2.27] said: 550-5.7.1 likely unsolicited mail",
    ),
    Reply(
        "hostile-controls",
        DEFERRED,
        "4.7.1",
        "450 4.7.1 NEL[\x85] LS[\u2028] PS[\u2029] RLO[\u202e] C1[\x9b] ESC[?] end",
    ),
    Reply(
        "hostile-long",
        BOUNCED,
        "5.0.0",
        "550 " + "spam blocked reputation " * 84,
        phase=_DATA,
    ),
)

BY_ID: Final[dict[str, Reply]] = {reply.id: reply for reply in ALL}
CLASS_OF: Final[dict[str, str]] = {reply.id: reply.reply_class for reply in ALL}

BIND_FAILED: Final = Reply("bind-failed", DEFERRED, "4.4.0", "server configuration error", UNREACHED)
"""What smtp(8) logs where `smtp_bind_address_enforce = yes` and the address is not on the host."""

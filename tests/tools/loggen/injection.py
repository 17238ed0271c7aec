"""How mail comes in: smtpd sessions, pickup, cleanup, opendkim."""

from __future__ import annotations

from random import Random
from typing import Final

from tests.tools.loggen.delivery import Delivery
from tests.tools.loggen.engine import Engine
from tests.tools.loggen.ids import Pids, QueueIds
from tests.tools.loggen.model import JOURNAL, MAIL_LOG, HostConfig, Message, Note, Recipient, Session, Stream

_IDLE_S: Final = 15.0
"""Listmonk's SMTP pool closes a connection that was idle this long (its default idle_timeout)."""

_SESSION_USES: Final = 200

NOBODY: Final = "none"
"""The stream of mail that no stream's injector submitted."""

MILTER: Final = "inet:127.0.0.1:8891"


class Injection:
    """Accepts messages and hands them to the queue manager."""

    def __init__(self, config: HostConfig, engine: Engine, delivery: Delivery, ids: QueueIds, pids: Pids, rng: Random) -> None:
        self._config = config
        self._at = engine.at
        self._log = engine.log
        self._delivery = delivery
        self._new_id = ids.new
        self._new_pid = pids.new
        self._random = rng.random
        self._sessions: dict[str, list[Session | None]] = {}
        self._turn = 0
        self._cleanup_pid = pids.new()
        self._pickup_pid = pids.new()
        self._opendkim = f"opendkim[{pids.new()}]"
        self._places = {"mail": (MAIL_LOG,), "journal": (JOURNAL,), "both": (MAIL_LOG, JOURNAL)}[config.opendkim_log]
        self._place = JOURNAL if config.postfix_log == "journal" else MAIL_LOG
        self.milter_down = False
        self.unsigned: dict[str, bool] = {}
        """Streams whose mail opendkim does not sign now; the value tells whether it says why (LogWhy)."""
        self.message_id: str | None = None
        """Instead of an ordinary Message-ID, for messages submitted now: client-controlled text."""

    # -- sessions ---------------------------------------------------------------------------------------------------

    def submit(self, now: float, stream: Stream, sender: str, size: int, recipients: list[Recipient]) -> None:
        """The stream's injector submits a message over one of its kept-open SMTP sessions."""
        sessions = self._sessions.get(stream.name)
        if sessions is None:
            sessions = self._sessions[stream.name] = [None] * stream.connections
        self._turn = slot = (self._turn + 1) % stream.connections
        session = sessions[slot]
        if session is None or session.closed or session.uses >= _SESSION_USES:
            if session is not None and not session.closed:
                self._disconnect(now, session)
            session = sessions[slot] = self._connect(now, stream)
            now += 0.002
        session.used_at = now
        if session.milter_down and self._config.milter_default_action == "tempfail":
            self._refuse(now, stream, session, sender)
            return
        session.uses += 1
        queue_id = self._new_id(now)
        client = session.client
        self._log((now, self._place, f"{session.head}{queue_id}: client={client}", session.note))
        signed = self._clean(now, stream, queue_id, client, session.milter_down)
        self._queue(now, queue_id, sender, size, recipients, signed)

    def stop_milter(self, now: float) -> None:
        """opendkim ends; injectors lose their sessions and come again, to an smtpd without a milter."""
        self.milter_down = True
        self._say_all(now, f"{self._opendkim}: terminating with status 0, errno = 0")
        for slots in self._sessions.values():
            for session in slots:
                if session is not None and not session.closed:
                    self._disconnect(now + 0.001, session)

    def start_milter(self, now: float) -> None:
        """opendkim is back: sessions opened from now on use it, open ones stay without (smtpd asks once)."""
        self.milter_down = False
        self._say_all(now, f"{self._opendkim}: OpenDKIM Filter v2.11.0 starting (args: -f -x /etc/opendkim.conf)")

    def _connect(self, now: float, stream: Stream) -> Session:
        client = f"{stream.client_host}[{stream.client_ip}]"
        head = f"{stream.smtpd_tag}[{self._new_pid()}]: "
        session = Session(head, client, ("injected", stream.name), now, milter_down=self.milter_down)
        self._log((now, self._place, f"{session.head}connect from {client}", None))
        if session.milter_down:
            text = f"{session.head}warning: connect to Milter service {MILTER}: Connection refused"
            self._log((now + 0.0005, self._place, text, ("milter_unreachable", NOBODY)))
        self._watch(now, session)
        return session

    def _watch(self, now: float, session: Session) -> None:
        """The injector closes a session that was idle."""

        def look(when: float) -> None:
            if session.closed:
                return
            if when - session.used_at >= _IDLE_S - 0.001:
                self._disconnect(when, session)
            else:
                self._at(session.used_at + _IDLE_S, look)

        self._at(now + _IDLE_S, look)

    def _disconnect(self, now: float, session: Session) -> None:
        session.closed = True
        uses = session.uses
        counts = f"ehlo=1 mail={uses} rcpt={uses} data={uses} quit=1 commands={2 + 3 * uses}"
        self._log((now, self._place, f"{session.head}disconnect from {session.client} {counts}", None))

    def _refuse(self, now: float, stream: Stream, session: Session, sender: str) -> None:
        text = (
            f"{session.head}NOQUEUE: milter-reject: MAIL from {session.client}: 451 4.7.1 Service unavailable - "
            f"try again later; from=<{sender}> proto=ESMTP helo=<{stream.client_host}>"
        )
        self._log((now, self._place, text, ("milter_rejected", stream.name)))

    # -- local mail -------------------------------------------------------------------------------------------------

    def pick_up(self, now: float, stream: Stream, uid: int, sender: str, size: int, recipients: list[Recipient]) -> None:
        """A local program submits a message through sendmail(1); `stream` gives the signing domain."""
        queue_id = self._new_id(now)
        head = f"postfix/pickup[{self._pickup_pid}]: {queue_id}: uid={uid} from=<{sender}>"
        self._log((now, self._place, head, ("injected", NOBODY)))
        if self.milter_down:
            text = f"postfix/cleanup[{self._cleanup_pid}]: warning: connect to Milter service {MILTER}: Connection refused"
            self._log((now + 0.003, self._place, text, ("milter_unreachable", NOBODY)))
        signed = self._clean(now, stream, queue_id, "", self.milter_down)
        self._queue(now, queue_id, sender, size, recipients, signed)

    # -- cleanup and milter -----------------------------------------------------------------------------------------

    def _clean(self, now: float, stream: Stream, queue_id: str, client: str, milter_down: bool) -> bool:
        message_id = self.message_id or f"<{queue_id[-6:]}.{int(now)}@{stream.dkim_domain}>"
        text = f"postfix/cleanup[{self._cleanup_pid}]: {queue_id}: message-id={message_id}"
        self._log((now + 0.004, self._place, text, None))
        if milter_down:
            return False
        if client and stream.name in self.unsigned:
            if self.unsigned[stream.name]:
                self._say_why(now, queue_id, client)
            return False
        who = stream.name if client else NOBODY
        text = f"{self._opendkim}: {queue_id}: DKIM-Signature field added (s={stream.dkim_selector}, d={stream.dkim_domain})"
        note: Note | None = ("signed", who)
        for place in self._places:
            self._log((now + 0.021, place, text, note))
            note = None
        return True

    def _say_all(self, now: float, text: str) -> None:
        for place in self._places:
            self._log((now, place, text, None))

    def _say_why(self, now: float, queue_id: str, client: str) -> None:
        host, _, ip = client.rstrip("]").partition("[")
        shown = f"[{ip}]" if host == "unknown" else host
        self._say_all(now + 0.021, f"{self._opendkim}: {queue_id}: {shown} [{ip}] not internal")
        self._say_all(now + 0.0211, f"{self._opendkim}: {queue_id}: not authenticated")

    def _queue(self, now: float, queue_id: str, sender: str, size: int, recipients: list[Recipient], signed: bool) -> None:
        message = Message(queue_id, sender, size, len(recipients), now, signed, recipients)
        self._delivery.activate(now + 0.024 + self._random() * 0.01, message)

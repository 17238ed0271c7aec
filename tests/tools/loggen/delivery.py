"""How mail goes out: qmgr, attempts over random egresses, cached connections, retries, suspended sites, notifications."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from typing import Final

from tests.tools.loggen.agents import SmtpAgents, timings
from tests.tools.loggen.engine import Engine
from tests.tools.loggen.ids import Pids, QueueIds
from tests.tools.loggen.model import (
    ACCEPTED,
    BOUNCED,
    DEFERRED,
    FIRST,
    JOURNAL,
    MAIL_LOG,
    NOTIFICATION,
    REFUSED,
    RETRY,
    SAID,
    SENT,
    UNREACHED,
    Answer,
    AttemptKey,
    AttemptNote,
    Domain,
    Egress,
    Host,
    HostConfig,
    Message,
    Recipient,
    Reply,
)
from tests.tools.loggen.replies import BIND_FAILED

_NOTES_KEPT: Final = 20_000
_QUEUE_RUN_S: Final = 300.0
"""queue_run_delay (postconf(5)): deferred mail is looked at this often."""
_TABLE: Final = 4096
"""Size of the tables of ready-made random texts."""
_SUSPENDED_SHARE: Final = 0.15
"""qmgr suspends a site once failures have emptied its concurrency window: about one in the first few does."""


class Delivery:
    """The queue manager and its delivery agents."""

    def __init__(
        self,
        config: HostConfig,
        engine: Engine,
        ids: QueueIds,
        pids: Pids,
        rng: Random,
        answers: Mapping[str, Answer],
        pool: tuple[Egress, ...],
    ) -> None:
        self._config = config
        self._at = engine.at
        self._log = engine.log
        self._ids = ids
        self._pids = pids
        self._random = rng.random
        self._answers = answers
        self._place = JOURNAL if config.postfix_log == "journal" else MAIL_LOG
        self.pool = pool
        """Where mail leaves now; each recipient of each attempt draws one."""
        self.unbound: dict[str, bool] = {}
        """Egresses whose address is not on the host now; the value tells whether the bind is enforced."""
        self.paused: tuple[str, str] | None = None
        """Enhanced status code and text with which error(8) defers everything, while set."""
        self.routes: dict[str, tuple[Egress, ...]] = {}
        """Senders whose mail leaves over egresses of its own, not over the pool."""
        self.bounces_go = "local"
        self.bounce_domain = Domain("mailer.example", "office", "other", (Host.at("mx.mailer.example", "192.0.2.200"),))
        """Where non-delivery notifications go when `bounces_go` is `remote`."""
        self._sites: dict[tuple[str, str], tuple[float, str]] = {}
        self._agents = SmtpAgents(config, engine, pids, rng)
        self._notes: dict[tuple[str, str, str, str, str], AttemptNote] = {}
        self._made = 0
        self._timings = timings(rng, _TABLE)
        self._tokens = [f"{rng.getrandbits(64):016x}" for _ in range(_TABLE)]
        self.new_processes()

    def new_processes(self) -> None:
        """As after `postfix reload`: new processes, and qmgr has forgotten which sites it had suspended."""
        self._qmgr = f"postfix/qmgr[{self._pids.new()}]"
        self._cleanup = f"postfix/cleanup[{self._pids.new()}]"
        self._bounce = f"postfix/bounce[{self._pids.new()}]"
        self._error = f"postfix/error[{self._pids.new()}]"
        self._local = f"postfix/local[{self._pids.new()}]"
        self._sites.clear()
        self._agents.forget()

    # -- queue manager ----------------------------------------------------------------------------------------------

    def activate(self, now: float, message: Message) -> None:
        """qmgr takes the message up: an attempt for each open recipient, then removed, or deferred, or expired."""
        queue_id = message.queue_id
        self._log(
            (
                now,
                self._place,
                f"{self._qmgr}: {queue_id}: from=<{message.sender}>, size={message.size}, nrcpt={message.nrcpt} (queue active)",
                None,
            )
        )
        end = now
        left: list[Recipient] = []
        failed = False
        for recipient in message.open:
            done, status = self._deliver(now, message, recipient)
            if done > end:
                end = done
            if status == DEFERRED:
                left.append(recipient)
            elif status == BOUNCED:
                failed = True
        message.open = left
        message.tries += 1
        if left and end - message.born >= self._config.queue_lifetime_s:
            text = f"{self._qmgr}: {queue_id}: from=<{message.sender}>, status=expired, returned to sender"
            self._log((end + 0.0005, self._place, text, ("expired", "")))
            left, failed = [], True
        if failed and message.sender:
            self._notify(end + 0.001, message)
        if left:
            self._retry_later(end, message)
            return
        gone = end + 0.004
        self._log((gone, self._place, f"{self._qmgr}: {queue_id}: removed", ("removed", "")))
        self._ids.release(queue_id, gone)

    def _retry_later(self, now: float, message: Message) -> None:
        # qmgr: the next try after the message's age, within the two backoff limits, at the next run of the deferred queue
        age = now - message.born
        wait = min(max(age, self._config.minimal_backoff_s), self._config.maximal_backoff_s)
        due = -(-(now + wait) // _QUEUE_RUN_S) * _QUEUE_RUN_S + self._random() * 20
        self._at(due, lambda when: self.activate(when, message))

    def _notify(self, now: float, message: Message) -> None:
        """bounce(8) tells the sender: a new message with the null sender (its lines come first up to Postfix 3.10)."""
        queue_id = self._ids.new(now)
        text = f"{self._cleanup}: {queue_id}: message-id=<{queue_id}@{self._config.fqdn}>"
        self._log((now, self._place, text, None))
        text = f"{self._bounce}: {message.queue_id}: sender non-delivery notification: {queue_id}"
        self._log((now + 0.002, self._place, text, ("notification", "")))
        target = Recipient(message.sender, self.bounce_domain)
        notice = Message(queue_id, "", message.size + 2600, 1, now, False, [target])
        self._at(now + 0.0025, lambda when: self.activate(when, notice))

    # -- one attempt ------------------------------------------------------------------------------------------------

    def _deliver(self, now: float, message: Message, recipient: Recipient) -> tuple[float, str]:
        """One recipient, once: (when the line was logged, its status)."""
        if recipient.domain is self.bounce_domain and self.bounces_go == "local":
            return self._deliver_locally(now, message, recipient)
        if self.paused is not None:
            return self._defer_locally(now, message, recipient, *self.paused)
        pool = self.routes.get(message.sender, self.pool) if self.routes else self.pool
        egress = pool[int(self._random() * len(pool))]
        domain = recipient.domain
        if self._sites:
            site = self._sites.get((egress.name, domain.name))
            if site is not None and site[0] > now:
                return self._defer_locally(now, message, recipient, "4.7.0", f"delivery temporarily suspended: {site[1]}")
        if egress.name in self.unbound:
            return self._deliver_unbound(now, message, recipient, egress)
        reply = self._answers[domain.receiver](now, egress, message, recipient)
        return self._contact(now, message, recipient, egress, reply)

    def _deliver_unbound(self, now: float, message: Message, recipient: Recipient, egress: Egress) -> tuple[float, str]:
        process = self._agents.process(egress)
        warning = f"{process}: warning: smtp_connect_addr: bind {egress.ip}: Cannot assign requested address"
        self._log((now + 0.004, self._place, warning, ("bind_failed", egress.stream)))
        if self.unbound[egress.name]:
            self._log((now + 0.0041, self._place, f"{process}: server configuration error", None))
            reply = BIND_FAILED
        else:
            reply = self._answers[recipient.domain.receiver](now, egress, message, recipient)
        return self._contact(now, message, recipient, egress, reply, process)

    def _contact(
        self, now: float, message: Message, recipient: Recipient, egress: Egress, reply: Reply, process: str = ""
    ) -> tuple[float, str]:
        """The lines of one attempt whose end is known."""
        hosts = recipient.domain.hosts
        how = reply.how
        host = hosts[-1] if reply.every_host else hosts[0]
        relay = "none" if how is UNREACHED else host.relay
        if not process:
            if how is ACCEPTED or how is SAID:
                connection = self._agents.connection(now, egress, host)
                process = connection.process
                if connection.uses > 1:
                    relay = f"{relay}, conn_use={connection.uses}"
            else:
                process = self._agents.process(egress)
        timing = self._timings[int(self._random() * _TABLE)]
        if message.tries:
            age = int(now - message.born)
            delays, done = f"delay={age}, delays={age}{timing.tail}", now + timing.tail_s
        else:
            delays, done = timing.text, now + timing.total_s
        if how is ACCEPTED:
            self._made = made = (self._made + 1) % _TABLE
            text = self._tokens[made].join(reply.halves)
        else:
            text = self._render(reply, recipient, egress, host)
            self._say_more(done, process, message, recipient, egress, reply, text)
        line = (
            f"{process}: {message.queue_id}: to=<{recipient.address}>, relay={relay}, {delays}, dsn={reply.enhanced}, "
            f"status={reply.status} ({text})"
        )
        self._log((done, self._place, line, self._note(message, recipient, egress, reply)))
        return done, reply.status

    def _say_more(
        self, done: float, process: str, message: Message, recipient: Recipient, egress: Egress, reply: Reply, text: str
    ) -> None:
        """What goes with a failure: lines without `to=`, and the site's suspension."""
        if reply.every_host:
            for place, host in enumerate(recipient.domain.hosts[:-1]):
                line = f"{process}: {message.queue_id}: {self._render(reply, recipient, egress, host)}"
                self._log((done - 0.003 + place * 0.001, self._place, line, ("interim", egress.stream)))
        elif text.startswith("connect to "):
            self._log((done - 0.0001, self._place, f"{process}: {text}", ("connect_failed", egress.stream)))
        if reply.kills_site and self._random() < _SUSPENDED_SHARE:
            self._sites[egress.name, recipient.domain.name] = (done + self._config.minimal_backoff_s, text)

    def _render(self, reply: Reply, recipient: Recipient, egress: Egress, host: Host) -> str:
        """The text between the parentheses of the line."""
        text = reply.text
        if reply.varies:
            self._made = made = (self._made + 1) % _TABLE
            text = text.format(
                ip=egress.ip,
                token=self._tokens[made],
                label=host.label,
                domain=recipient.domain.name,
                rcpt=recipient.address,
            )
        if reply.how is SAID:
            return f"host {host.label} said: {text} (in reply to {reply.phase})"
        if reply.how is REFUSED:
            return f"host {host.label} refused to talk to me: {text}"
        return text

    def _note(self, message: Message, recipient: Recipient, egress: Egress, reply: Reply) -> AttemptNote:
        tried = RETRY if recipient.attempted else FIRST
        kind = tried if message.sender else NOTIFICATION
        recipient.attempted = True
        domain = recipient.domain
        operator = "" if reply.how is UNREACHED else domain.operator
        made = (egress.name, reply.id, kind, operator, domain.name)
        note = self._notes.get(made)
        if note is None:
            key = AttemptKey(egress.stream, egress.name, operator, reply.status, kind, reply.id)
            if len(self._notes) > _NOTES_KEPT:
                self._notes.clear()
            note = self._notes[made] = AttemptNote(key, domain.name)
        return note

    def _defer_locally(self, now: float, message: Message, recipient: Recipient, enhanced: str, text: str) -> tuple[float, str]:
        """error(8): nobody was contacted."""
        age = now - message.born
        delay = f"{age:.0f}" if age >= 10 else f"{age:.2g}"
        line = (
            f"{self._error}: {message.queue_id}: to=<{recipient.address}>, relay=none, delay={delay}, delays={delay}/0/0/0, "
            f"dsn={enhanced}, status=deferred ({text})"
        )
        self._log((now + 0.003, self._place, line, ("local_deferral", "")))
        return now + 0.003, DEFERRED

    def _deliver_locally(self, now: float, message: Message, recipient: Recipient) -> tuple[float, str]:
        """local(8): a mailbox on this host."""
        line = (
            f"{self._local}: {message.queue_id}: to=<{recipient.address}>, relay=local, delay=0.02, delays=0.01/0/0/0.01, "
            "dsn=2.0.0, status=sent (delivered to mailbox)"
        )
        self._log((now + 0.005, self._place, line, ("local_delivery", "")))
        return now + 0.005, SENT

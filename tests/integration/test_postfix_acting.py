"""What the root helper does to a real Postfix: pool, governor, halt, messages on hold, and the way back. Needs root."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import pytest
from msgspec.structs import replace

from pwmtad.adapters.postfix_writer import PostfixWriter, StateError, Timeouts
from pwmtad.core import main_cf_values as values
from pwmtad.model.target import Applied, PostfixTarget, StreamTarget
from tests.tools.daemon import until
from tests.tools.postfix_instance import RECEIVER, PostfixInstance, cloned

pytestmark = [pytest.mark.services, pytest.mark.timeout(300)]

CLONES = cloned([5, 6, 7])
POOL = ("out05", "out06")
BACKOFF = "minimal_backoff_time = 3600s\nmaximal_backoff_time = 3600s\n"
REAL = "/usr/sbin:/usr/bin:/sbin:/bin"


@pytest.fixture
def root() -> None:
    """Skip without root; on a machine that means it (CI) nothing passes by being skipped."""
    if os.geteuid() != 0:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("a Postfix of its own needs root")


@pytest.fixture
def postfix(root: None) -> Iterator[PostfixInstance]:
    """A Postfix that runs."""
    del root
    with PostfixInstance(CLONES, main=BACKOFF) as instance:
        instance.start()
        yield instance


@contextmanager
def writing(
    postfix: PostfixInstance, *, path: str = REAL, queue: Path | None = None, timeout_s: float = 10.0
) -> Iterator[PostfixWriter]:
    """Have the right to write, for a while."""
    writer = PostfixWriter(
        str(postfix.config), str(queue or postfix.queue), str(postfix.state), search_path=path,
        timeouts=Timeouts(postconf_s=timeout_s, reload_s=timeout_s, postsuper_s=60, postqueue_s=60),
    )  # fmt: skip
    writer.open()
    try:
        yield writer
    finally:
        writer.close()


def target(pool: tuple[str, ...] = POOL, *, paused_by: str = "", delay: int = 0, keep: bool = False) -> PostfixTarget:
    """One stream whose pool this is."""
    stream = StreamTarget("news", tuple(CLONES), pool, paused_by=paused_by, rate_delay_s=delay)
    return PostfixTarget((stream,), keep_queued=keep)


HALT = target(paused_by="news-h1", keep=True)


def apply(postfix: PostfixInstance, wanted: PostfixTarget, *, path: str = REAL, timeout_s: float = 10.0) -> Applied:
    """Apply it in a helper of its own, as after a restart, and let Postfix take notice of it."""
    wait = postfix.before_reload() if postfix.running() else None
    with writing(postfix, path=path, timeout_s=timeout_s) as writer:
        applied = asyncio.run(writer.apply(wanted))
    if wait is not None and applied.reloaded:
        wait()
    return applied


def done(applied: Applied) -> Applied:
    """Insist that nothing failed."""
    assert applied.problem is None, applied.problem
    return applied


def stand_in(postfix: PostfixInstance, program: str, script: str) -> str:
    """Put a program before the real one of its name; `$real` is the real one. Returns the search path."""
    folder = postfix.folder / "bin"
    folder.mkdir(exist_ok=True)
    file = folder / program
    file.write_text(f"#!/bin/sh\nreal={shutil.which(program, path=REAL)}\n{script}\n")
    file.chmod(0o755)
    return f"{folder}:{REAL}"


def numbered(count: int, start: int = 0) -> list[str]:
    return [f"r{number}@example.net" for number in range(start, start + count)]


# -- pool and governor


def test_mail_leaves_through_the_pool_and_through_nothing_else(postfix: PostfixInstance) -> None:
    applied = done(apply(postfix, target()))
    assert applied.reloaded
    assert applied.actual.pool == POOL
    postfix.send(numbered(30))
    postfix.wait_received(30)
    assert set(postfix.receiver.by_client()) == {"127.0.1.5", "127.0.1.6"}
    done(apply(postfix, target(("out07",))))
    postfix.send(numbered(10))
    postfix.wait_received(40)
    assert postfix.receiver.by_client()["127.0.1.7"] == 10
    assert {one.egress for one in postfix.outcomes()} == {"out05", "out06", "out07"}


def test_applying_again_writes_nothing_and_reloads_nothing(postfix: PostfixInstance) -> None:
    done(apply(postfix, target(delay=3)))
    before = postfix.main_cf.stat()
    again = done(apply(postfix, target(delay=3)))
    assert (again.changes, again.reloaded, again.drift) == ((), False, ())
    after = postfix.main_cf.stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)
    assert len(postfix.log_lines("reload -- version")) == 1


def test_under_the_governor_every_delivery_waits_and_each_recipient_is_one(postfix: PostfixInstance) -> None:
    done(apply(postfix, target(("out05",), delay=2)))
    postfix.send(numbered(1))
    with postfix.session() as session:
        session.sendmail("news@lists.example.org", numbered(5, start=1), "Subject: one mail to five\r\n\r\nhello\r\n")
    arrived = [one.at for one in postfix.wait_received(4)]
    # Postfix's timers count whole seconds (events.c): 2 s that begin at 0.9 s of one are 1.1 s.
    assert min(later - earlier for earlier, later in pairwise(arrived)) > 0.9


def test_exempt_senders_pass_pool_and_halt(postfix: PostfixInstance) -> None:
    exempt = replace(HALT, exempt_senders=("cron@example.org", "@mail.example.org"))
    done(apply(postfix, exempt))
    postfix.send(numbered(3))
    postfix.send(numbered(1), sender="cron@example.org")
    postfix.send(numbered(1), sender="who@mail.example.org")
    postfix.send(numbered(1), sender="cron@example.org.evil.example")
    postfix.wait_outcomes(4, "deferred")
    assert {one.sender for one in postfix.wait_received(2)} == {"cron@example.org", "who@mail.example.org"}
    assert not set(postfix.receiver.by_client()) & set(CLONES.values())


@pytest.mark.parametrize("maps", [False, True])
def test_excluded_domains_wait_in_the_queue_whatever_routes_there_are(postfix: PostfixInstance, maps: bool) -> None:
    if maps:
        _route(postfix, "kept.example", "other.example")
    done(apply(postfix, replace(target(), excluded_domains=("kept.example",))))
    postfix.send(["a@kept.example", "b@KEPT.example", "c@other.example", "d@sub.kept.example"])
    received = postfix.wait_received(2)
    assert {one.recipient for one in received} == {"c@other.example", "d@sub.kept.example"}
    assert {one.recipient.lower() for one in postfix.wait_outcomes(2, "deferred")} == {"a@kept.example", "b@kept.example"}
    postfix.wait_deferred(2)
    postfix.command("postqueue", "-f")
    until("tried again", lambda: len([one for one in postfix.outcomes() if one.status == "deferred"]) >= 4)
    assert len(postfix.receiver.received) == 2


def test_excluded_domains_wait_in_front_of_a_pool_in_transport_maps(postfix: PostfixInstance) -> None:
    postfix.set("transport_maps=randmap:{out07}")
    done(apply(postfix, replace(target(), excluded_domains=("kept.example",))))
    postfix.send(["a@kept.example", "b@[127.0.2.99]"])  # nobody listens there
    found = {one.recipient: (one.egress, one.text) for one in postfix.wait_outcomes(2, "deferred")}
    assert found["a@kept.example"] == ("", "deferred transport")
    assert found["b@[127.0.2.99]"][0] in POOL


def _route(postfix: PostfixInstance, *keys: str) -> None:
    """Have a person route these addresses or domains through out07."""
    table = postfix.config / "transport"
    table.write_text("".join(f"{key} out07:[{RECEIVER}]:{postfix.receiver.port}\n" for key in keys))
    subprocess.run(["postmap", str(table)], check=True)
    postfix.set(f"transport_maps=hash:{table}")


def test_postfix_finds_in_our_tables_what_we_put_there(postfix: PostfixInstance) -> None:
    senders = ("cron@example.org", "o'neil+tag=1@example.org", "a.b@x-y.example", "$money{}@example.org", "@all.example")
    domains = ("yahoo.example", "xn--bcher-kva.example")
    done(apply(postfix, replace(target(), exempt_senders=senders, excluded_domains=domains)))

    def found(kind: str, table: str, key: str) -> str:
        asked = subprocess.run(
            ["postmap", "-c", str(postfix.config), "-q", key, f"{kind}:{postfix.config}/{table}"],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert asked.stderr == ""
        return asked.stdout.strip()

    for sender in (*senders[:-1], "anyone@all.example", "CRON@Example.ORG"):
        assert found("regexp", "pwmtad-exempt", sender) == "smtp:", sender
    for sender in ("xcron@example.org", "cron@example_org", "aXb@x-y.example", "anyone@all.example.net", "<>"):
        assert found("regexp", "pwmtad-exempt", sender) == "", sender
    for domain in domains:
        assert found("texthash", "pwmtad-excluded", domain) == "kept-out-by-pwmtad:"
        assert found("regexp", "pwmtad-excluded.regexp", f"a@{domain}") == "kept-out-by-pwmtad:"
        assert found("regexp", "pwmtad-excluded.regexp", f"a@x{domain}") == ""


# -- halt


def test_during_a_halt_nothing_leaves_and_nothing_is_refused_or_lost(postfix: PostfixInstance) -> None:
    _route(postfix, "vip@example.net")
    done(apply(postfix, target()))
    applied = done(apply(postfix, HALT))
    assert applied.actual.paused_by == "news-h1"
    assert applied.actual.pool == POOL
    assert set(applied.actual.deferred) == set(CLONES)
    postfix.send([*numbered(10), "vip@example.net"])  # an injector that is refused would raise here
    subprocess.run(
        ["sendmail", "-C", str(postfix.config), "-f", "news@lists.example.org", "r10@example.net"],
        input="Subject: x\n\nhello\n", text=True, check=True,
    )  # fmt: skip
    postfix.wait_outcomes(12, "deferred")
    assert {one.text for one in postfix.outcomes()} == {"deferred transport"}
    # A person flushes, all of it and one by one: then even the two that defer_transports alone would let go stay.
    postfix.command("postqueue", "-f")
    for entry in postfix.queued():
        postfix.command("postqueue", "-i", str(entry["queue_id"]))
    until("all but the explicit route tried again", lambda: len(_deferred(postfix)) >= 12 + 11)
    assert postfix.receiver.received == []
    # A listing made while a message goes from one queue to the other has it twice.
    until("all is there", lambda: sum(postfix.queue_names().values()) == 12)
    done(apply(postfix, target()))
    postfix.command("postqueue", "-f")
    received = postfix.wait_received(12)
    assert Counter(one.recipient for one in received) == Counter([*numbered(11), "vip@example.net"])


def _deferred(postfix: PostfixInstance) -> list[str]:
    return [one.queue_id for one in postfix.outcomes() if one.status == "deferred"]


def test_a_halt_at_full_speed_loses_and_doubles_nothing(postfix: PostfixInstance) -> None:
    count = 1500
    postfix.receiver.delay_s = 0.02
    with writing(postfix) as writer:

        async def halted() -> float:
            done(await writer.apply(target(tuple(CLONES))))
            blast = asyncio.create_task(asyncio.to_thread(postfix.burst, count))
            await asyncio.to_thread(postfix.wait_received, 100)
            done(await writer.apply(HALT))
            at = time.monotonic()
            await blast
            return at

        at = asyncio.run(halted())
        until("the rest waits", lambda: len(postfix.receiver.received) + sum(postfix.queue_names().values()) >= count)
        before = len(postfix.receiver.received)
        assert before < count
        # In flight when the halt was told is a delivery that had begun; nothing begins afterwards.
        assert not [one for one in postfix.receiver.received if one.at > at + 5]
        wait = postfix.before_reload()
        done(asyncio.run(writer.apply(target(tuple(CLONES)))))
    wait()
    postfix.command("postqueue", "-f")
    received = postfix.wait_received(count, patience_s=90)
    until("the queue is empty", lambda: not postfix.queued())
    assert max(Counter(one.recipient for one in received).values()) == 1
    assert len(received) == count


def test_nothing_expires_while_queue_lifetimes_are_raised(postfix: PostfixInstance) -> None:
    postfix.set("maximal_queue_lifetime=2s", "bounce_queue_lifetime=1s", "minimal_backoff_time=1s", "queue_run_delay=1s")
    done(apply(postfix, HALT))
    assert postfix.values()["maximal_queue_lifetime"] == "100d"
    postfix.send(numbered(3))
    until("each was tried after its time", lambda: len(_deferred(postfix)) >= 12)
    assert postfix.log_lines("status=expired") == []
    with writing(postfix) as writer:
        done(asyncio.run(writer.apply(replace(HALT, keep_queued=False))))
    assert postfix.values()["maximal_queue_lifetime"] == "2s"
    until("now they expire", lambda: len(postfix.log_lines("status=expired")) >= 3)


def test_a_stopped_postfix_is_no_failure_and_starts_halted(postfix: PostfixInstance) -> None:
    done(apply(postfix, target()))
    postfix.stop()
    applied = done(apply(postfix, HALT))
    assert (applied.running, applied.reloaded) == (False, False)
    assert applied.actual.paused_by == "news-h1"
    assert not applied.actual.reload_due
    postfix.start()
    postfix.send(numbered(3))
    postfix.wait_outcomes(3, "deferred")
    assert postfix.receiver.received == []


# -- messages on hold


def test_only_what_we_hold_is_let_go_and_it_leaves_at_once(postfix: PostfixInstance) -> None:
    done(apply(postfix, HALT))
    postfix.send(numbered(6))
    ids = postfix.wait_deferred(6)
    postfix.command("postsuper", "-h", "-", text=f"{ids[0]}\n")  # a person holds one
    with writing(postfix) as writer:
        assert asyncio.run(writer.hold(ids[:4])) is None  # the person's is among them
        listing = asyncio.run(writer.queue())
        assert listing.problem is None
        assert listing.ours == set(ids[1:4])
        assert Counter(one.queue_name for one in listing.entries) == {"hold": 4, "deferred": 2}
        wait = postfix.before_reload()
        done(asyncio.run(writer.apply(target())))
    wait()
    with writing(postfix) as writer:  # after a restart
        # The next attempt is an hour away by now (minimal_backoff_time).
        assert asyncio.run(writer.unhold([*ids[:2], ids[5]])) is None
        postfix.wait_received(1)
        assert asyncio.run(writer.queue()).ours == set(ids[2:4])
        assert asyncio.run(writer.unhold(ids)) is None
        postfix.wait_received(3)
        assert asyncio.run(writer.queue()).ours == frozenset()
    until("one is held by a person, two wait", lambda: postfix.queue_names() == {"hold": 1, "deferred": 2})
    assert len(postfix.receiver.received) == 3


def test_what_somebody_else_let_go_is_forgotten(postfix: PostfixInstance) -> None:
    done(apply(postfix, HALT))
    postfix.send(numbered(2))
    ids = postfix.wait_deferred(2)
    with writing(postfix) as writer:
        assert asyncio.run(writer.hold(ids)) is None
        postfix.command("postsuper", "-H", "-", text=f"{ids[0]}\n")
        assert asyncio.run(writer.queue()).ours == {ids[1]}
        postfix.command("postsuper", "-h", "-", text=f"{ids[0]}\n")
        assert asyncio.run(writer.queue()).ours == {ids[1]}  # now it is theirs


@pytest.mark.usefixtures("root")
def test_a_queue_of_fifty_thousand_is_listed_held_and_let_go() -> None:
    with PostfixInstance(CLONES, main=BACKOFF, in_memory=True) as large:
        large.start()
        done(apply(large, HALT))
        large.send(numbered(1))
        large.wait_deferred(1)
        count = _multiply(large, 50_000)
        with writing(large) as writer:
            listing = asyncio.run(writer.queue())
            assert listing.problem is None
            ids = [one.queue_id for one in listing.entries]
            assert len(set(ids)) == count
            assert asyncio.run(writer.hold(ids)) is None
            assert large.queue_names() == {"hold": count}
            assert asyncio.run(writer.unhold(ids)) is None
            assert sum(1 for _ in (large.queue / "hold").iterdir()) == 0


def _multiply(postfix: PostfixInstance, count: int) -> int:
    """Copy the one deferred message under other names, its next attempt far away. Returns how many there are then."""
    postfix.stop()
    (message,) = (path for path in (postfix.queue / "deferred").rglob("*") if path.is_file())
    content, owner = message.read_bytes(), message.stat()
    later = time.time() + 86_400  # noqa: TID251  a file's time
    folder = postfix.queue / "deferred" / "A"
    folder.mkdir(mode=0o700, exist_ok=True)
    os.chown(folder, owner.st_uid, owner.st_gid)
    for number in range(count - 1):
        path = folder / "new"
        path.write_bytes(content)
        path.chmod(0o700)
        os.chown(path, owner.st_uid, owner.st_gid)
        os.utime(path, (later, later))
        # A short queue id: five digits of time, the first of which names the folder, and the inode (mail_queue.h).
        path.rename(folder / f"{0xA0000 + number:X}{path.stat().st_ino:X}")
    postfix.start()
    return count


# -- what goes wrong


def test_a_main_cf_that_is_a_link_is_refused_with_what_to_do(postfix: PostfixInstance) -> None:
    elsewhere = postfix.folder / "main.cf.managed"
    postfix.main_cf.rename(elsewhere)
    postfix.main_cf.symlink_to(elsewhere)
    before = elsewhere.read_bytes()
    applied = apply(postfix, HALT)
    assert applied.problem is not None
    assert "cp --remove-destination" in applied.problem
    assert postfix.main_cf.is_symlink()
    assert elsewhere.read_bytes() == before


def test_a_main_cf_that_others_may_write_is_refused(postfix: PostfixInstance) -> None:
    postfix.main_cf.chmod(0o666)
    applied = apply(postfix, HALT)
    assert applied.problem is not None
    assert "can be written by others than root" in applied.problem
    assert applied.changes == ()


def test_a_missing_postconf_is_told(postfix: PostfixInstance) -> None:
    applied = apply(postfix, HALT, path="/nonexistent")
    assert applied.problem == applied.actual.problem
    assert applied.problem is not None
    assert "postconf is not installed" in applied.problem


def test_a_hanging_postconf_is_ended_with_all_it_started(postfix: PostfixInstance) -> None:
    path = stand_in(
        postfix, "postconf", f"sleep 600 & echo $! >> {postfix.folder}/pids; echo $$ >> {postfix.folder}/pids; wait"
    )
    applied = apply(postfix, HALT, path=path, timeout_s=4)
    assert applied.problem is not None
    assert "did not end within 4 s" in applied.problem
    pids = (postfix.folder / "pids").read_text().split()
    until("they are gone", lambda: not any(_lives(pid) for pid in pids))


def _lives(pid: str) -> bool:
    try:
        return Path("/proc", pid, "stat").read_text().split()[2] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_a_postconf_that_can_read_and_not_write_leaves_everything_as_it_was(postfix: PostfixInstance) -> None:
    path = stand_in(postfix, "postconf", 'case "$*" in *" -e "*) echo "fatal: no" >&2; exit 1;; esac; exec $real "$@"')
    before = postfix.main_cf.read_bytes()
    applied = apply(postfix, HALT, path=path)
    assert applied.problem is not None
    assert "fatal: no" in applied.problem
    assert postfix.main_cf.read_bytes() == before
    assert not applied.reloaded
    done(apply(postfix, HALT))
    with writing(postfix) as writer:
        done(asyncio.run(writer.restore()))
    assert _without_blank(postfix.main_cf.read_bytes()) == _without_blank(before)


def _without_blank(text: bytes) -> list[bytes]:
    return [line for line in text.splitlines() if line.strip()]


def test_a_failing_reload_is_told_and_made_up_for_later(postfix: PostfixInstance) -> None:
    elsewhere = postfix.folder / "no-queue"
    (elsewhere / "pid").mkdir(parents=True)
    (elsewhere / "pid" / "master.pid").write_text("nobody knows")
    path = stand_in(postfix, "postfix", "echo 'postfix: fatal: no reload today' >&2; exit 1")
    with writing(postfix, path=path, queue=elsewhere) as writer:
        applied = asyncio.run(writer.apply(HALT))
        assert applied.problem is not None
        assert "no reload today" in applied.problem
        assert applied.running
        assert applied.actual.reload_due
    assert postfix.log_lines("reload -- version") == []
    again = done(apply(postfix, HALT))
    assert (again.changes, again.reloaded) == ((), True)
    assert not again.actual.reload_due
    postfix.send(numbered(1))
    postfix.wait_outcomes(1, "deferred")


def test_edits_of_others_in_the_same_second_are_all_kept(postfix: PostfixInstance) -> None:
    async def race(writer: PostfixWriter) -> None:
        others = [
            asyncio.to_thread(postfix.command, "postconf", "-e", f"theirs_{number}=yes", f"other_{number}=$theirs_{number}")
            for number in range(8)
        ]
        applying = asyncio.create_task(writer.apply(HALT))
        await asyncio.gather(*others)
        applied = await applying
        assert applied.actual.paused_by == "news-h1", applied

    with writing(postfix) as writer:
        asyncio.run(race(writer))
    text = postfix.main_cf.read_text()
    assert all(f"theirs_{number} = yes" in text for number in range(8))
    assert values.POOL in text


def test_an_editor_that_saves_while_we_write_loses_nothing_and_we_win_in_the_end(postfix: PostfixInstance) -> None:
    # Right after every edit of ours, somebody's editor saves the file that it had opened before, with a line of its own.
    saved = postfix.folder / "opened-before"
    saved.write_text(postfix.main_cf.read_text() + "theirs = yes\n")
    path = stand_in(
        postfix, "postconf",
        f'$real "$@"; case "$*" in *" -e "*) [ -e {saved} ] && cp {saved} {postfix.main_cf} && rm {saved};; esac; exit 0',
    )  # fmt: skip
    first = apply(postfix, HALT, path=path)
    second = done(apply(postfix, HALT))
    assert first.problem is None or "somebody else changed main.cf" in first.problem
    assert second.actual.paused_by == "news-h1"
    assert "theirs = yes" in postfix.main_cf.read_text()


def test_a_full_disk_leaves_main_cf_whole(postfix: PostfixInstance) -> None:
    with _small_disk(postfix.config, 256) as fill:
        fill()
        before = postfix.main_cf.read_bytes()
        applied = apply(postfix, HALT)
        assert applied.problem is not None
        assert "No space left" in applied.problem
        assert postfix.main_cf.read_bytes() == before
        assert not (postfix.config / "main.cf.tmp").exists() or postfix.main_cf.read_bytes() == before
        (postfix.config / "ballast").unlink()
        done(apply(postfix, HALT))


def test_a_full_disk_for_its_own_records_does_not_keep_a_halt_from_holding(postfix: PostfixInstance) -> None:
    with _small_disk(postfix.state, 64) as fill:
        done(apply(postfix, target()))
        fill()
        refused = apply(postfix, target(("out07",)))
        assert refused.problem is not None
        assert "No space left" in refused.problem
        assert refused.changes == ()
        halted = apply(postfix, HALT)
        assert halted.problem is not None
        assert "No space left" in halted.problem
        assert halted.actual.paused_by == "news-h1"
        assert halted.reloaded
        postfix.send(numbered(1))
        postfix.wait_outcomes(1, "deferred")


@contextmanager
def _small_disk(folder: Path, kilobytes: int) -> Iterator[Callable[[], None]]:
    """Put a folder on a disk that can be filled."""
    kept = folder.with_name(f"{folder.name}.kept")
    folder.rename(kept)
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k,mode=755", "small", str(folder)], check=True)
    shutil.copytree(kept, folder, dirs_exist_ok=True)

    def fill() -> None:
        with (folder / "ballast").open("wb", buffering=0) as file:
            try:
                while True:
                    file.write(b"x" * 512)
            except OSError:
                return

    try:
        yield fill
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)
        folder.rmdir()
        kept.rename(folder)


_HELPER = """
import asyncio, sys
from pwmtad.adapters.postfix_writer import PostfixWriter
from pwmtad.model.target import PostfixTarget, StreamTarget
writer = PostfixWriter(*sys.argv[1:4], search_path=sys.argv[4])
writer.open()
stream = StreamTarget("news", ("out05", "out06", "out07"), ("out05", "out06"), paused_by="news-h1")
asyncio.run(writer.apply(PostfixTarget((stream,), keep_queued=True)))
"""


@pytest.mark.parametrize("moment", ["before main.cf", "after main.cf"])
def test_killed_between_record_and_reload_it_catches_up_and_still_knows_what_was_before(
    postfix: PostfixInstance, moment: str
) -> None:
    before = postfix.values()
    kill = "kill -9 $PPID; exit 1"
    edit = f'$real "$@"; {kill}' if moment == "after main.cf" else kill
    path = stand_in(postfix, "postconf", f'case "$*" in *" -e "*) {edit};; esac; exec $real "$@"')
    call = ["python3", "-c", _HELPER, str(postfix.config), str(postfix.queue), str(postfix.state), path]
    killed = subprocess.run(call, check=False, capture_output=True, env=_environment(), timeout=60)
    assert killed.returncode == -9, killed.stderr.decode()
    with writing(postfix) as writer:
        assert asyncio.run(writer.look()).reload_due
        wait = postfix.before_reload()
        applied = done(asyncio.run(writer.apply(HALT)))
        assert applied.reloaded
        assert applied.drift == ()
        wait()
        postfix.send(numbered(1))
        postfix.wait_outcomes(1, "deferred")
        done(asyncio.run(writer.restore()))
    assert postfix.values() == before


def _environment() -> dict[str, str]:
    import sys

    root = str(Path(__file__).resolve().parents[2])
    return os.environ | {"PYTHONPATH": os.pathsep.join([root, *sys.path]), "PATH": f"{Path(sys.executable).parent}:{REAL}"}


def test_a_second_helper_does_not_start(postfix: PostfixInstance) -> None:
    with writing(postfix):
        second = PostfixWriter(str(postfix.config), str(postfix.queue), str(postfix.state))
        with pytest.raises(StateError, match="another helper runs already"):
            second.open()
    with writing(postfix):
        pass


def test_a_damaged_record_is_kept_told_of_and_does_not_keep_a_halt_from_holding(postfix: PostfixInstance) -> None:
    done(apply(postfix, target(delay=3)))
    record = postfix.state / "owned.json"
    for content in (b"", b'{"owned": 3}', b"\x00" * 4096):
        record.write_bytes(content)
        applied = apply(postfix, replace(HALT, streams=(replace(HALT.streams[0], paused_by=f"news-{len(content)}"),)))
        assert applied.problem is not None
        assert "is damaged" in applied.problem
        assert "it is kept as" in applied.problem
        assert applied.actual.paused_by == f"news-{len(content)}"
        assert done(apply(postfix, HALT)).actual.paused_by == "news-h1"
    assert sorted(path.read_bytes() for path in postfix.state.glob("owned.json.damaged-*")) == sorted(
        [b"", b'{"owned": 3}', b"\x00" * 4096]
    )
    postfix.send(numbered(1))
    postfix.wait_outcomes(1, "deferred")


def test_a_lost_record_of_a_halt_lets_the_halt_end(postfix: PostfixInstance) -> None:
    done(apply(postfix, HALT))
    (postfix.state / "owned.json").unlink()
    applied = apply(postfix, target())
    assert applied.problem is not None
    assert "no record" in applied.problem
    postfix.send(numbered(3))
    postfix.wait_received(3)


# -- the way back


def test_restoring_puts_everything_back_to_the_letter_and_names_what_stays_on_hold(postfix: PostfixInstance) -> None:
    postfix.set("transport_maps=", "sender_dependent_default_transport_maps=randmap:{out07}", "maximal_queue_lifetime=4d")
    before = postfix.values()
    wanted = replace(HALT, exempt_senders=("cron@example.org",), excluded_domains=("kept.example",))
    done(apply(postfix, wanted))
    postfix.send(numbered(2))
    ids = tuple(postfix.wait_deferred(2))
    with writing(postfix) as writer:
        assert asyncio.run(writer.hold(ids)) is None
        wait = postfix.before_reload()
        restored = done(asyncio.run(writer.restore()))
        wait()
        assert restored.held == ids
        change = next(change for change in restored.changes if change.name == "maximal_queue_lifetime")
        assert (change.before, change.after) == ("100d", "4d")
        assert postfix.values() == before
        assert not list(postfix.config.glob("pwmtad*"))
        again = done(asyncio.run(writer.restore(release_held=True)))
        assert again.held == ()
    assert {one.client for one in postfix.wait_received(2)} == {"127.0.1.7"}
    assert "randmap:{out07}" in (postfix.state / "main.cf.before").read_text()

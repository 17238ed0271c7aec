"""What a person asks for over the socket: done, stored before it is answered, and refused in words."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from pwmtad.core.guard import Guard
from pwmtad.core.text import clean
from pwmtad.daemon.control import Control, RefusedError
from pwmtad.model.control import HaltRequest, ReleaseRequest
from pwmtad.model.errors import StoreError
from pwmtad.model.judgement import Halt, HaltPhase, Record, RecordKind, Scope
from pwmtad.model.ledger import Commit, Ledger
from tests.tools.judging import START, Run

NOW = START + 5 * 86_400


class Kept:
    """A store of which only the records matter, and which can fail."""

    def __init__(self) -> None:
        self.kept: list[Record] = []
        self.fails = False

    async def open(self) -> None:
        raise NotImplementedError

    async def load(self, since: float) -> Ledger:
        raise NotImplementedError

    async def roll_up(self, now: float) -> None:
        raise NotImplementedError

    async def close(self) -> None:
        raise NotImplementedError

    async def commit(self, commit: Commit) -> None:
        if self.fails:
            raise StoreError("the disk is full", retryable=True)
        self.kept += commit.judgement.records

    async def records(self, *, limit: int, halt_id: str | None = None) -> list[Record]:
        if self.fails:
            raise StoreError("the disk is full", retryable=True)
        return [record for record in self.kept if halt_id in (None, record.halt_id)][-limit:]


class Desk:
    """A control with everything around it."""

    def __init__(self) -> None:
        self.run = Run()
        self.guard: Guard = self.run.guard
        self.run.look(NOW - 60)
        self.store = Kept()
        self.now = NOW
        self.woken = 0
        self.mode = "enforce"
        self.control = Control(
            guard=self.guard,
            store=self.store,
            commit=self._commit,
            wake=self._wake,
            clock=lambda: self.now,
            mode=lambda: self.mode,
        )

    async def _commit(self) -> bool:
        try:
            await self.store.commit(Commit(at=self.now, judgement=self.guard.take_deltas()))
        except StoreError:
            return False
        return True

    def _wake(self) -> None:
        self.woken += 1

    def halts(self, stream: str = "trucking") -> list[Halt]:
        return list(self.guard.streams[stream].halts.values())


@pytest.fixture
def desk() -> Desk:
    return Desk()


async def test_a_halt_is_stored_before_it_is_answered_and_the_tick_is_woken(desk: Desk) -> None:
    answer = await desk.control.halt(HaltRequest("trucking", "new list", "alice", 3600))
    (halt,) = desk.halts()
    assert (answer.halt_id, answer.stored, answer.text) == (halt.id, True, f"stream trucking is halted: {halt.id}")
    assert (halt.reason, halt.hold_until, halt.rule) == ("new list (alice)", NOW + 3600, "manual")
    assert [record.kind for record in desk.store.kept][-1] is RecordKind.HALT
    assert desk.woken == 1
    assert not desk.guard.desired(NOW)[0].sending
    assert desk.guard.desired(NOW)[1].sending


async def test_a_halt_without_an_end_holds_until_it_is_released(desk: Desk) -> None:
    answer = await desk.control.halt(HaltRequest("trucking", "why not", "alice"))
    desk.now += 400 * 86_400
    desk.run.look(desk.now)
    assert not desk.guard.desired(desk.now)[0].sending
    await desk.control.release(ReleaseRequest(answer.halt_id, "bob"))
    assert [halt.phase for halt in desk.halts()] == [HaltPhase.ENDED]
    assert desk.guard.desired(desk.now)[0].sending


async def test_the_halt_of_a_rule_is_released_into_probing_and_then_out_of_it(desk: Desk) -> None:
    desk.guard.streams["trucking"].halt("spike", Scope.STREAM, "trucking", "too much", (), None, NOW)
    (halt,) = desk.halts()
    answer = await desk.control.release(ReleaseRequest(halt.id, "bob"))
    assert answer.text == f"halt {halt.id} is released: sending comes back slowly, by probing"
    assert [found.phase for found in desk.halts()] == [HaltPhase.PROBING]
    answer = await desk.control.release(ReleaseRequest(halt.id, "bob"))
    assert answer.text == f"halt {halt.id} is released: it is over"
    assert [found.phase for found in desk.halts()] == [HaltPhase.ENDED]
    released = [record for record in desk.store.kept if record.kind is RecordKind.RELEASE]
    assert [(record.before, record.after) for record in released] == [("active", "probing"), ("probing", "ended")]


async def test_a_release_names_what_still_holds_the_stream(desk: Desk) -> None:
    desk.guard.streams["trucking"].halt("spike", Scope.STREAM, "trucking", "too much", (), None, NOW)
    (spike,) = desk.halts()
    answer = await desk.control.halt(HaltRequest("trucking", "x", "alice"))
    answer = await desk.control.release(ReleaseRequest(answer.halt_id, "alice"))
    assert answer.text == f"halt {answer.halt_id} is released: it is over\nstream trucking is still held by {spike.id}"
    assert not desk.guard.desired(NOW)[0].sending


async def test_observe_mode_says_that_a_halt_holds_nothing(desk: Desk) -> None:
    desk.mode = "observe"
    answer = await desk.control.halt(HaltRequest("trucking", "x", "alice"))
    assert answer.text.endswith("\nobserve mode: this is recorded and shown, but mail goes on leaving")


async def test_a_halt_of_a_stream_that_a_reload_left_out_can_be_released(desk: Desk) -> None:
    answer = await desk.control.halt(HaltRequest("trucking", "x", "alice"))
    settings = desk.run.policy.settings
    streams = {name: stream for name, stream in settings.streams.items() if name != "trucking"}
    fewer = settings.model_copy(update={"streams": streams})
    desk.guard.reconfigure(replace(desk.run.policy, settings=fewer))
    released = await desk.control.release(ReleaseRequest(answer.halt_id, "alice"))
    assert released.text == f"halt {answer.halt_id} is released; its stream is not configured now"


async def test_a_stream_that_there_is_not_is_refused_with_the_names_of_those_that_there_are(desk: Desk) -> None:
    with pytest.raises(RefusedError, match=r"there is no stream 'truking'; streams: healthcare, trucking"):
        await desk.control.halt(HaltRequest("truking", "x", "alice"))
    assert desk.store.kept == []


@pytest.mark.parametrize("name", ["nothing", "", "trucking", "\x1b[2J" + "x" * 5000])
async def test_a_halt_that_is_not_open_is_refused_with_those_that_are(desk: Desk, name: str) -> None:
    first = await desk.control.halt(HaltRequest("healthcare", "x", "alice"))
    with pytest.raises(RefusedError, match=f"there is no open halt .*; open halts: {first.halt_id}$") as caught:
        await desk.control.release(ReleaseRequest(name, "alice"))
    assert "\x1b" not in str(caught.value)
    assert len(str(caught.value)) < 300


async def test_a_halt_that_ended_is_not_released_twice(desk: Desk) -> None:
    answer = await desk.control.halt(HaltRequest("trucking", "x", "alice"))
    await desk.control.release(ReleaseRequest(answer.halt_id, "alice"))
    with pytest.raises(RefusedError, match="open halts: none"):
        await desk.control.release(ReleaseRequest(answer.halt_id, "alice"))


async def test_while_the_store_fails_a_halt_holds_in_memory_and_says_so(desk: Desk) -> None:
    desk.store.fails = True
    answer = await desk.control.halt(HaltRequest("trucking", "x", "alice"))
    assert not answer.stored
    assert not desk.guard.desired(NOW)[0].sending
    with pytest.raises(StoreError, match="disk is full"):
        await desk.control.records(limit=10, halt_id=None)


async def test_records_are_those_up_to_now(desk: Desk) -> None:
    desk.guard.streams["trucking"].halt("spike", Scope.STREAM, "trucking", "too much", (), None, NOW)
    answer = await desk.control.halt(HaltRequest("trucking", "x", "alice"))
    found = await desk.control.records(limit=1, halt_id=None)
    assert [record.halt_id for record in found] == [answer.halt_id]
    assert await desk.control.records(limit=10, halt_id=answer.halt_id) == found


async def test_what_a_person_writes_can_not_control_a_terminal_or_grow_without_end(desk: Desk) -> None:
    hostile = "\x1b[2J\u202e" + "x" * 5000
    await desk.control.halt(HaltRequest("trucking", hostile, hostile))
    (halt,) = desk.halts()
    assert halt.reason == clean(halt.reason, 300)
    assert halt.reason.endswith("x)")

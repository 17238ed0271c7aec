"""What people see: built from counters, what was judged, and what was looked at."""

from __future__ import annotations

import msgspec
import pytest

from pwmtad.core.acts import acting_findings
from pwmtad.core.observe import Observer
from pwmtad.core.overview import overview_page
from pwmtad.core.policy import Context
from pwmtad.core.state import About, Inputs, build_state, build_summary
from pwmtad.core.wiring import parts_of, source_kinds
from pwmtad.model.acting import Acting, StreamActing
from pwmtad.model.counters import AttemptBucket, AttemptCounts, AttemptKey
from pwmtad.model.judgement import EvidenceLine, HaltPhase, Scope
from pwmtad.model.observed import Observed
from pwmtad.model.replies import RuleSet
from pwmtad.model.sources import Batch, SourceHealth
from pwmtad.model.state import Finding, Level, ReloadState, Snapshot, State, StoreState, StreamState, Totals
from tests.tools.judging import DAY, HOUR, START, Run, ledger_of, settings_of

NOW = START + 10 * DAY
STORE = StoreState("sqlite:/var/lib/pwmtad/pwmtad.db", NOW - 1, 5, 0, None)
RELOAD = ReloadState("/etc/pwmtad/pwmtad.toml", START, 0, 0, None)


class Scene:
    """An observer with its guard, a day old, and a look at it."""

    def __init__(self) -> None:
        self.settings = settings_of()
        self.run = Run(settings=self.settings)
        self.observer = Observer(
            parts=parts_of(self.settings, RuleSet((), ()), None),
            sources=source_kinds(self.settings),
            max_reasons_per_day=10,
            now=NOW,
            guard=self.run.guard,
        )
        self.observed = Observed(at=NOW, pool=("out05", "out06", "elsewhere"), warmup_starts=self.run.starts)
        self.store, self.reload = STORE, RELOAD
        for source in self.observer.sources:
            self.take(source)
        self.run.guard.look(Context(self.run.starts, {}, {}), NOW - 1)

    def take(self, source: str, *, caught_up: bool = True, **health: object) -> None:
        self.observer.take(Batch(source, [], None, caught_up, SourceHealth(**health)), NOW)  # type: ignore[arg-type]

    def state(self, mode: str = "observe", acting: Acting | None = None) -> State:
        """Build it, and see that its sentence alone is the same."""
        given = Inputs(
            about=About("0.1.0", "mail.example.org", START, 7, 0.001, {}),
            settings=self.settings.model_copy(update={"mode": mode}),
            observer=self.observer,
            observed=self.observed,
            store=self.store,
            reload=self.reload,
            now=NOW,
            acting=acting,
            acting_findings=() if acting is None else tuple(acting_findings(acting, mode)),
        )
        state = build_state(given)
        assert build_summary(given) == state.summary
        return state

    def stream(self, name: str = "trucking") -> StreamState:
        return next(stream for stream in self.state().streams if stream.name == name)

    def halt(self, rule: str = "spike", scope: Scope = Scope.STREAM, subject: str = "trucking") -> None:
        line = EvidenceLine(NOW, "a reply")
        self.run.guard.streams["trucking"].halt(rule, scope, subject, "too much", [line], 72 * HOUR, NOW)


@pytest.fixture
def scene() -> Scene:
    return Scene()


def test_the_pool_is_the_one_that_was_read_back_after_the_last_change(scene: Scene) -> None:
    first = scene.stream().egresses[0]
    (stream, *_) = scene.state("enforce", Acting(pool=(first,))).streams
    assert stream.pool == (first,)


def test_mail_that_is_parked_or_held_although_nothing_is_carried_out_is_a_finding(scene: Scene) -> None:
    acting = Acting(streams=(StreamActing("trucking", held_by="trucking-h1", parked_messages=3),))
    held, parked = "held_while_observing", "excluded_mail_parked"
    assert {finding.code for finding in scene.state("observe", acting).findings} == {held, parked}
    assert {finding.code for finding in scene.state("enforce", acting).findings} == {parked}


def test_a_quiet_host_has_nothing_to_say(scene: Scene) -> None:
    state = scene.state()
    assert state.summary == "observe: last hour 0 sent, 0 deferred, 0 bounced"
    assert (state.halts, state.findings) == ((), ())
    assert [(one.stream, one.sending, one.growth) for one in state.desired] == [
        ("trucking", True, True), ("healthcare", True, True),
    ]  # fmt: skip
    assert (scene.stream().warmup_day, scene.stream().pool, scene.stream().unknown) == (10, ("out05", "out06"), ())


def test_a_halt_is_shown_without_the_replies_that_led_to_it(scene: Scene) -> None:
    scene.halt()
    (halt,) = scene.state().halts
    assert (halt.rule, halt.phase, halt.evidence) == ("spike", HaltPhase.ACTIVE, ())
    assert not scene.state().desired[0].sending


@pytest.mark.parametrize(("mode", "words"), [("observe", "would be halted"), ("enforce", "halted")])
def test_what_is_held_comes_first_in_the_sentence(scene: Scene, mode: str, words: str) -> None:
    scene.halt()
    scene.halt("cox-blocks", Scope.OPERATOR, "cox")
    assert scene.state(mode).summary.startswith(f"{mode}: trucking {words} (spike, cox-blocks at cox); last hour 0 sent")


def test_a_stream_that_reached_its_ceiling_says_so(scene: Scene) -> None:
    memory = scene.run.guard.streams["healthcare"].memory
    memory.capped_day = int(NOW // DAY)
    assert scene.state("enforce").summary.startswith("enforce: healthcare halted (ceiling); ")


def test_a_halt_that_is_on_its_way_back_holds_nothing(scene: Scene) -> None:
    scene.halt()
    (halt_id,) = scene.run.guard.streams["trucking"].halts
    scene.run.guard.release(halt_id, "alice", NOW)
    state = scene.state()
    assert [halt.phase for halt in state.halts] == [HaltPhase.PROBING]
    assert "halted" not in state.summary
    scene.run.guard.release(halt_id, "alice", NOW)
    assert scene.state().halts == ()


def test_what_keeps_a_stream_from_growing_is_told_while_it_does(scene: Scene) -> None:
    memory = scene.run.guard.streams["trucking"].memory
    memory.frozen_until, memory.frozen_rule, memory.unknown = NOW + 1, "rate-limits", ("log_silent",)
    assert (scene.stream().frozen_until, scene.stream().frozen_rule, scene.stream().unknown) == (
        NOW + 1, "rate-limits", ("log_silent",),
    )  # fmt: skip
    memory.frozen_until = NOW
    assert (scene.stream().frozen_until, scene.stream().frozen_rule) == (None, "")
    assert (scene.stream("healthcare").frozen_until, scene.stream("healthcare").unknown) == (None, ())


def test_what_goes_wrong_is_a_finding(scene: Scene) -> None:
    scene.store = msgspec.structs.replace(STORE, error="the disk is full")
    scene.reload = msgspec.structs.replace(RELOAD, error="streams.x: unknown key")
    scene.observed = msgspec.structs.replace(
        scene.observed,
        warmup_starts={"trucking": NOW + 5},
        findings=(Finding(Level.WARNING, "short_queue_ids", "set enable_long_queue_ids"),),
    )
    names = list(scene.observer.sources)
    scene.take(names[0], caught_up=False, error="Permission denied", gaps=2)
    state = scene.state()
    assert [(found.code, found.subject) for found in state.findings] == [
        ("store_failing", STORE.url),
        ("reload_failed", RELOAD.file),
        ("source_unreadable", names[0]),
        ("log_gap", names[0]),
        ("warmup_start_unknown", "trucking"),
        ("warmup_start_unknown", "healthcare"),
        ("short_queue_ids", ""),
    ]
    assert [stream.warmup_problem for stream in state.streams] == [
        "the warmup start lies in the future", "the warmup start was not read yet",
    ]  # fmt: skip
    assert f"cannot read {names[0]}" in state.summary
    assert "5 findings: the disk is full" in state.summary


def test_attempts_of_the_last_hour_are_in_the_sentence(scene: Scene) -> None:
    for count, status in ((2, "sent"), (1, "bounced")):
        key = AttemptKey("trucking", "out05", "other", status, "")
        scene.observer.tally.load(ledger_of([AttemptBucket(60, int(NOW), key, AttemptCounts(count))]), NOW)
    assert scene.state().summary == "observe: last hour 2 sent, 0 deferred, 1 bounced"
    assert scene.stream().first_attempts_hour == 3


@pytest.mark.parametrize(("progress", "words"), [(0.42, "reading mail.log (42%)"), (None, "reading mail.log")])
def test_a_backlog_is_in_the_sentence(scene: Scene, progress: float | None, words: str) -> None:
    scene.take("mail.log", caught_up=False, progress=progress)
    assert f"; {words}" in scene.state().summary


def test_the_page_for_people_says_of_each_stream_whether_it_may_send(scene: Scene) -> None:
    page = _page(scene.state("enforce"))
    assert page.count("<td>yes</td><td>10</td>") == 2
    assert "<h2>Halts</h2>" not in page
    scene.run.guard.streams["healthcare"].memory.unknown = ("log_silent",)
    scene.halt()
    page = _page(scene.state("enforce"))
    assert "<td>yes, but nothing grows</td>" in page
    assert "<td>no: spike (" in page
    assert "Observe mode" not in page
    assert "<td>?</td><td>10</td>" in _page(msgspec.structs.replace(scene.state(), desired=()))  # an older daemon's state


def test_the_page_for_people_tells_findings_and_escapes_them(scene: Scene) -> None:
    finding = Finding(Level.WARNING, "short_queue_ids", "set <enable_long_queue_ids>", "main.cf")
    scene.observed = msgspec.structs.replace(scene.observed, findings=(finding,))
    page = _page(scene.state())
    assert "set &lt;enable_long_queue_ids&gt;" in page
    assert "<td>main.cf</td>" in page


def _page(state: State) -> str:
    return overview_page(Snapshot(state, Totals({}, {}, {}), ready=True, not_ready=()))

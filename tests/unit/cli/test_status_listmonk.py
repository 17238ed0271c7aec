"""The Listmonk table of `pwmtad status`."""

from __future__ import annotations

import io

from msgspec.structs import replace

from pwmtad.cli.status import render_status
from pwmtad.cli.tables import make_console
from pwmtad.model.acting import Acting, ListmonkActing
from tests.tools.states import sample_state


def page(*instances: ListmonkActing) -> str:
    out = io.StringIO()
    state = replace(sample_state(), acting=Acting(listmonk=instances))
    render_status(state, make_console(out, width=120))
    return out.getvalue()


def row(*instances: ListmonkActing) -> str:
    lines = page(*instances).partition("\nListmonk\n")[2].splitlines()
    return " ".join(lines[1].split())


WELL = ListmonkActing(
    "trucking", "http://127.0.0.1:9000", reachable=True, version="v6.2.0", window="2 each 25s", in_force=True, running=3
)


def test_without_a_listmonk_there_is_no_table() -> None:
    assert "Listmonk" not in page()


def test_an_instance_that_is_well_is_shown_as_it_is() -> None:
    assert row(WELL) == "trucking v6.2.0 2 each 25s 3 0 as it should be"


def test_what_is_wrong_or_not_known_shows() -> None:
    assert row(replace(WELL, problem="no right")) == "trucking v6.2.0 ! 2 each 25s 3 0 as it should be"
    assert row(replace(WELL, reachable=False, doing="no answer")) == "trucking NOT REACHED 2 each 25s 3 0 no answer"
    assert row(ListmonkActing("trucking", "x")) == "trucking not asked yet ? ? 0 as it should be"
    assert row(replace(WELL, in_force=False, held=2, unsure=1)).startswith(
        "trucking v6.2.0 2 each 25s (not in force) 3 2 + 1 ?"
    )


def test_a_hostile_version_or_reason_can_not_colour_the_terminal() -> None:
    assert "\x1b[31m" not in page(replace(WELL, version="\x1b[31mred", doing="\x1b[31m[bold]x"))

"""A generator of realistic mail logs: a simulated Postfix host with opendkim, streams, and receivers with manners.

In: pure values and functions; all chance comes from `random.Random(seed)`, so one scenario is always the same lines.
Out: files, clocks, threads (the command line beside it has those). Memory does not grow with the length of a scenario.

    scenario = scenarios.blast(start)
    run = scenario.play()
    for when, place, line in run:      # place: MAIL_LOG or JOURNAL
        ...
    run.truth.total(status="sent")     # exact for the lines handed out so far

A scenario is put together from streams (model.Stream), receivers' manners (personas), lists of people (audience.Audience)
and what happens (pieces). Shapes of lines: own runs of Postfix 3.7.11 and OpenDKIM 2.11.0.
"""

from tests.tools.loggen.audience import Audience
from tests.tools.loggen.model import JOURNAL, MAIL_LOG, Egress, HostConfig, Record, Stream, egresses
from tests.tools.loggen.receivers import Mix
from tests.tools.loggen.scenario import Run, Scenario
from tests.tools.loggen.truth import Truth
from tests.tools.loggen.writers import Rfc3339, Traditional

__all__ = [
    "JOURNAL",
    "MAIL_LOG",
    "Audience",
    "Egress",
    "HostConfig",
    "Mix",
    "Record",
    "Rfc3339",
    "Run",
    "Scenario",
    "Stream",
    "Traditional",
    "Truth",
    "egresses",
]

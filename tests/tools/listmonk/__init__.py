"""A stand-in for Listmonk 3 to 6.2: its HTTP contract, its tables, and an engine that really sends by SMTP, traps included.

In: PostgreSQL, an SMTP server, a version. Out: what pwmtad would meet. Not in it: pages for people, templates, tracking,
imports. README.md says how to use it. Modules ending in `_store` have the SQL, `api_*` the HTTP calls; window, pipe, settings,
shapes, govalues, versions and texts are pure.

    async with running(Options(version="5.1", database=url, smtp="127.0.0.1:2525")) as listmonk:
        ...  # listmonk.url, listmonk.truth, listmonk.faults; Seeding(listmonk) makes people and campaigns
"""

from tests.tools.listmonk.control import Control
from tests.tools.listmonk.faults import Fault, Kind
from tests.tools.listmonk.options import Options
from tests.tools.listmonk.seeding import Seeding
from tests.tools.listmonk.standin import Standin, running

__all__ = ["Control", "Fault", "Kind", "Options", "Seeding", "Standin", "running"]

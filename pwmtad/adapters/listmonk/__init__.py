"""Listmonk by its HTTP API, versions 3 to 6: `transport` asks, `client` knows the calls, `instance` is what the daemon uses.

In: credentials, timeouts, retries, paging, decoding of answers. Out: what to do when, and whose a campaign is. Only status
codes and the form of an answer decide anything, never its words, which are translated.
Imported by the composition root only.
"""

from __future__ import annotations

from pwmtad.adapters.listmonk.client import ListmonkClient
from pwmtad.adapters.listmonk.instance import ListmonkInstance
from pwmtad.adapters.listmonk.transport import Transport

__all__ = ["ListmonkClient", "ListmonkInstance", "Transport"]

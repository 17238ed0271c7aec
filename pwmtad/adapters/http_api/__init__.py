"""The daemon's HTTP face: `server` says what is answered, `listening` on what addresses and sockets.

In: aiohttp and sockets. Out: what the numbers mean, and what an order brings about (`daemon/control`). Used by `daemon/app.py`.
"""

from pwmtad.adapters.http_api.server import ControlPort, HttpApi, ListenError

__all__ = ["ControlPort", "HttpApi", "ListenError"]

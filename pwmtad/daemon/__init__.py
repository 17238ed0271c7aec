"""Time and concurrency: ports, ingest, the tick, supervision, and `app`, the one place where parts are put together.

In: asyncio, clocks (only in app.py), the order of things. Out: parsing, judging, and any knowledge of one outside system.
Imported by `cli` only.
"""

"""Adapters: one outside system each (log files, journal, Postfix, store, metrics, HTTP, systemd).

In: everything that touches files, processes, sockets and databases, as implementations of the ports in `daemon/ports.py`.
Out: decisions (core), and each other: an adapter never imports another. Importers: `daemon/app.py`, the cli and tests.
"""

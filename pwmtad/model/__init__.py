"""Nouns: events, names, counter keys, checkpoints, findings, records.

In: frozen values without behaviour beyond reading themselves. Out: I/O, clocks, decisions.
Everybody may import this package; it imports nothing of pwmtad.
"""

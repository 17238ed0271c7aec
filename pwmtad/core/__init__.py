"""Verbs, pure: lines to events, events to counts, counts to verdicts, verdicts to a desired state and a plan.

In: functions and small classes that take values and `now` and return values. Out: I/O, clocks, threads, logging, randomness.
Imported by `adapters`, `daemon` and `cli`; imports `config` and `model`.
"""

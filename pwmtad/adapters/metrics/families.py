"""Makes metric families of rows."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import accumulate
from typing import TypeAlias

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from pwmtad.model.state import Distribution

Row: TypeAlias = tuple[tuple[str, ...], float]
"""Label values and number of one sample."""


def counter(name: str, text: str, labels: tuple[str, ...], rows: Iterable[Row]) -> Metric:
    """Return a counter with one sample a row."""
    family = CounterMetricFamily(name, text, labels=labels)
    for values, count in rows:
        family.add_metric(values, count)
    return family


def gauge(name: str, text: str, labels: tuple[str, ...], rows: Iterable[Row]) -> Metric:
    """Return a gauge with one sample a row."""
    family = GaugeMetricFamily(name, text, labels=labels)
    for values, number in rows:
        family.add_metric(values, number)
    return family


def histogram(name: str, text: str, labels: tuple[str, ...], rows: Iterable[tuple[tuple[str, ...], Distribution]]) -> Metric:
    """Return a histogram with one distribution a row."""
    family = HistogramMetricFamily(name, text, labels=labels)
    for values, counted in rows:
        bounds = (*map(str, counted.bounds), "+Inf")
        below = accumulate(counted.counts)
        family.add_metric(values, list(zip(bounds, below, strict=True)), counted.sum)
    return family


def one(number: float | None) -> list[Row]:
    """One value without labels, or nothing where it is not known: absent is better than a wrong 0."""
    return [] if number is None else [((), number)]

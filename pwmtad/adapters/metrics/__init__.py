"""/metrics: a Snapshot as Prometheus metrics. `exposition` makes the page; `acting` has what was done to the host.

In: names, units, label sets. Out: any judgement; alerts are made of these. Used by `daemon/app.py`.
"""

from pwmtad.adapters.metrics.exposition import Metrics

__all__ = ["Metrics"]

"""The governor: how long each egress waits between two deliveries, so that no blast can leave faster than the window.

`outNN_transport_rate_delay` makes qmgr leave a pause before each delivery of a transport, whatever the destination, retries
included (postconf(5); seen in runs of Postfix 3.7.11). It is the same for whoever injects. The first after a start or a reload
waits as well, so reloads make the flow thinner, and more often than the pause they stop it.
"""

from __future__ import annotations

from pwmtad.model.counters import HOUR_S


def rotation(pool: tuple[str, ...], window_per_hour: int) -> tuple[str, ...]:
    """Return the egresses that send at once: all, unless the window is smaller than their number (probing).

    Each that takes part delivers at least once an hour, so more of them than the window allows would exceed it.
    """
    return pool[: max(1, window_per_hour)]


def rate_delay_s(egresses: int, window_per_hour: int) -> int:
    """Return the seconds between two deliveries of one egress, for `egresses` of them; 0: faster than one a second each.

    An hour may begin with a delivery: with a pause of d seconds an egress makes up to floor(3600 / d) + 1 deliveries within an
    hour. `ceil(3600 * egresses / window)` alone lets 51 mails out of 3 egresses with a window of 50.
    """
    each = max(1, window_per_hour // max(1, egresses))
    # The least d with floor(3600 / d) + 1 <= each.
    delay = HOUR_S // each + 1
    return delay if each <= HOUR_S else 0


def allowed_per_hour(egresses: int, delay_s: int) -> int:
    """Return how many deliveries the governor lets out in any hour; `delay_s` is at least 1."""
    return egresses * (HOUR_S // delay_s + 1)

"""Lists of recipients: the same name gives the same people in the same order, whatever else happens in a scenario."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import cycle
from random import Random
from typing import Final

from tests.tools.loggen.model import Domain, Recipient
from tests.tools.loggen.receivers import Mix, slots

_ODD: Final = (
    '"we ird,x{n}"@{domain}',
    "R{n}.Mixed@{upper}",
    "r{n}+list=tag@{domain}",
    "dü{n}@{domain}",
    '"r{n}>, relay=none, delay=1, delays=0/0/0/0, dsn=2.0.0, status=sent (x"@{domain}',
)
"""Quoted local parts, one of them a whole fake record: seen in a run of Postfix 3.7.11."""


@dataclass(frozen=True, slots=True)
class Audience:
    """`count` people of a `mix` of receivers. A longer list of the same name begins with the shorter one.

    `odd_share`: share of addresses that are quoted, mixed case, UTF-8 or hostile. `in_turn`: domains come one after the
    other instead of by chance, so that each of many tenants is mailed equally often.
    """

    name: str
    count: int
    mix: Mix
    odd_share: float = 0.0
    in_turn: bool = False

    def recipients(self, seed: int) -> Iterator[Recipient]:
        """The people, each as a new recipient that had no attempt yet."""
        rng = Random(f"{seed}/{self.name}")
        random = rng.random
        table = slots(self.mix)
        size = len(table)
        turn = cycle(_distinct(table)) if self.in_turn else None
        odd_share = self.odd_share
        prefix = f"{self.name}.r"
        for number in range(self.count):
            domain = table[int(random() * size)] if turn is None else next(turn)
            if odd_share and random() < odd_share:
                yield Recipient(_odd(number, domain), domain)
            else:
                yield Recipient(f"{prefix}{number}@{domain.name}", domain)


def _odd(number: int, domain: Domain) -> str:
    return _ODD[number % len(_ODD)].format(n=number, domain=domain.name, upper=domain.name.upper())


def _distinct(table: tuple[Domain, ...]) -> list[Domain]:
    return list(dict.fromkeys(table))

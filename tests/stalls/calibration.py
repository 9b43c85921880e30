"""How much of a work takes so many seconds of CPU time here."""

import math
import time
from collections.abc import Callable
from functools import cache

from .app.computing import WORK

_ENOUGH_SECONDS = 0.03


@cache
def amount_for(kind: str, seconds: float) -> int:
    """Of the kinds in WORK. Measured once, on as little as can be measured."""
    if kind == "match":  # each letter doubles it
        letters = _measured(kind, 14, lambda amount: amount + 1)
        return letters[0] + math.ceil(math.log2(seconds / letters[1]))
    amount, measured = _measured(kind, 10_000, lambda amount: amount * 2)
    return math.ceil(amount * seconds / measured)


def _measured(kind: str, amount: int, more: Callable[[int], int]) -> tuple[int, float]:
    while True:
        WORK[kind](amount)  # what it needs is made
        began = time.thread_time()
        WORK[kind](amount)
        measured = time.thread_time() - began
        if measured >= _ENOUGH_SECONDS:
            return amount, measured
        amount = more(amount)

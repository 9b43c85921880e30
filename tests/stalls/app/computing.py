"""Work for the CPU: what is Python, what lets go of the GIL, and what does not.

How much it is the caller says, who has measured how fast this machine is: see calibration.py.
"""

import hashlib
import json
import random
import re
import time
import zlib
from functools import cache

from fastapi import APIRouter

router = APIRouter(prefix="/compute")


@router.get("/spin")
async def spin(seconds: float = 0.3) -> int:
    """Pure Python for so many seconds of CPU time."""
    number = 0
    until = time.thread_time() + seconds
    while time.thread_time() < until:  # guilty: spin
        number = (number * 3 + 1) % 1_000_003  # guilty: spin
    return number


def derive(amount: int) -> None:
    hashlib.pbkdf2_hmac("sha256", b"password", b"salt", amount)  # guilty: pbkdf2


def compress(amount: int) -> None:
    zlib.compress(random_bytes()[:amount])  # guilty: zlib


def match(amount: int) -> None:
    re.match("(a+)+$", "a" * amount + "b")  # guilty: match


def add(amount: int) -> None:
    sum(range(amount))  # guilty: sum


def sort(amount: int) -> None:
    sorted(numbers(amount))  # guilty: sorted


def dump(amount: int) -> None:
    json.dumps(numbers(amount))  # guilty: dumps


WORK = {
    "pbkdf2": derive,
    "zlib": compress,
    "match": match,
    "sum": add,
    "sorted": sort,
    "dumps": dump,
}


@router.get("/prepare/{kind}")
def prepare(kind: str, amount: int) -> None:
    """Have ready, on a thread, what the work needs."""
    if kind == "zlib":
        random_bytes()
    elif kind in {"sorted", "dumps"}:
        numbers(amount)


@router.get("/{kind}")
async def compute(kind: str, amount: int) -> None:
    WORK[kind](amount)


@cache
def random_bytes() -> bytes:
    return random.randbytes(64_000_000)


@cache
def numbers(amount: int) -> list[float]:
    """Made with the GIL let go now and then."""
    made: list[float] = []
    while len(made) < amount:
        made += [random.random() for _ in range(20_000)]
        time.sleep(0.001)
    return made[:amount]

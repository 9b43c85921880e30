"""Bytes that were all right once."""

import random

_EXTREMES = (
    b"\x00" * 4,
    b"\xff" * 4,
    b"\x7f\xff\xff\xff",
    b"\xff\xff\xff\x7f",
    b"\x80\x00\x00\x00",
)


def mutated(dice: random.Random, whole: bytes, other: bytes) -> bytes:
    """With one to four changes; `other` is what pieces are taken from."""
    changed = bytearray(whole)
    for _ in range(dice.randrange(1, 5)):
        place = dice.randrange(len(changed) + 1)
        length = dice.choice((1, 2, 4, 16, len(whole) // 4 + 1))
        start = dice.randrange(len(other))
        kind = dice.randrange(7)
        if kind == 0:
            changed[place : place + length] = dice.randbytes(length)
        elif kind == 1:
            del changed[place : place + length]
        elif kind == 2:
            del changed[place:]
        elif kind == 3:
            changed[place:place] = other[start : start + length]
        elif kind == 4:
            changed[place : place + 4] = dice.choice(_EXTREMES)
        elif place < len(changed):
            changed[place] ^= 1 << dice.randrange(8)
    return bytes(changed)

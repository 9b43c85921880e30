"""What is asked: short reviews, hardly two alike, as the bytes of one request each."""

import json
import random
from collections.abc import Iterator, Sequence

PATH = "/v1/predict/sentiment"
HEALTH = b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"

# 12 to 30 tokens for the sentiment model, 20.5 on average; invented, so no training data.
_SUBJECTS = ("The kettle", "This vacuum cleaner", "My new pair of headphones", "The lamp", "It")
_VERBS = ("works", "never works", "looks", "arrived and already looks", "feels in the hand")
_MANNERS = ("brilliant", "rather cheap", "exactly as in the pictures", "worse than the old one")
_JOINTS = (", and", ", but", " although", "; still,", ", sadly, and")
_ENDS = (
    "the box was late.",
    "I would buy it again at once.",
    "nobody here wants to use it any more.",
    "support sent a new one within two days.",
)


def texts(seed: int) -> Iterator[str]:
    """An endless sequence, the same for the same seed."""
    draw = random.Random(seed)
    while True:
        subject, verb, manner = map(draw.choice, (_SUBJECTS, _VERBS, _MANNERS))
        yield f"{subject} {verb} {manner}{draw.choice(_JOINTS)} {draw.choice(_ENDS)}"


def request(texts: Sequence[str], batch_size: int, prefix: str = "") -> bytes:
    """The whole HTTP request."""
    body = json.dumps({"texts": texts, "batch_size": batch_size}).encode()
    head = f"POST {prefix}{PATH} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body

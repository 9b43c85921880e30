"""Getting the GIL promptly."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

_PROMPT_SECONDS = 0.0001


@contextmanager
def prompt_gil() -> Iterator[None]:
    """Be given it within 0.1 ms, for the few that the block lasts.

    Who has to ask for 5 ms, the default, is given it when the loop rests, and finds it resting
    however much it works: uvloop lets go of the GIL nowhere else.
    """
    before = sys.getswitchinterval()
    sys.setswitchinterval(_PROMPT_SECONDS)
    prompt = sys.getswitchinterval()
    try:
        yield
    finally:
        if sys.getswitchinterval() == prompt:  # nobody else has set it meanwhile
            sys.setswitchinterval(before)

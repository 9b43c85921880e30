"""How long to wait before a worker that died is started again."""

from dataclasses import dataclass

FIRST_SECONDS = 0.1
LONGEST_SECONDS = 30.0
WELL_SECONDS = 60.0  # who ran for so long did not die of its start


@dataclass(slots=True)
class Backoff:
    """Twice as long after each death, until one of them has run well."""

    next_seconds: float = FIRST_SECONDS

    def after(self, ran_seconds: float) -> float:
        """The seconds to wait, after the death of a worker that ran for `ran_seconds`."""
        seconds = FIRST_SECONDS if ran_seconds >= WELL_SECONDS else self.next_seconds
        self.next_seconds = min(2 * seconds, LONGEST_SECONDS)
        return seconds

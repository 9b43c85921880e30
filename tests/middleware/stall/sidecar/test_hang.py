"""When the sidecar looks, and when it speaks: often at first, and never too often."""

from middleware.stall.pulse import Beat
from middleware.stall.record import Cause
from middleware.stall.sidecar.hang import Hang

SECOND = 1_000_000_000
LAST = Beat(0, 0, 0, 0, 0, 0, 1)


def spoken_at(cause: Cause, seconds: float) -> tuple[list[float], int]:
    """When it spoke in a hang of that length, and how often it looked, each look in no time."""
    hang, now, spoken, looks = Hang(LAST, 100_000_000), 0, [], 0
    while (now := hang.next_ns) < seconds * SECOND:
        hang.add(None, now)
        looks += 1
        if hang.is_to_be_said(cause):
            spoken.append(now / SECOND)
    return spoken, looks


def test_who_wakes_up_late_together_with_the_process_gives_it_a_moment() -> None:
    noticed = 100_000_000

    assert Hang(LAST, noticed).next_ns > noticed


def test_it_speaks_at_once_then_after_1_2_4_seconds() -> None:
    spoken, _ = spoken_at(Cause.CPU_GIL_HELD, 10)

    assert spoken[0] < 0.2
    assert spoken[1:] == [1, 2, 4, 8]


def test_it_waits_for_a_second_when_it_has_little_to_say() -> None:
    spoken, _ = spoken_at(Cause.CPU_STARVED, 10)

    assert spoken == [1, 2, 4, 8]


def test_an_hour_costs_few_looks() -> None:
    _, looks = spoken_at(Cause.CPU_GIL_HELD, 3600)

    assert looks < 400

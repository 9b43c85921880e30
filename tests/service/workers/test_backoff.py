"""Who dies again and again is started ever more rarely."""

from service.workers.backoff import FIRST_SECONDS, LONGEST_SECONDS, WELL_SECONDS, Backoff


def test_each_death_doubles_the_delay_up_to_a_limit() -> None:
    backoff = Backoff()

    delays = [backoff.after(1.0) for _ in range(2000)]

    assert delays[:4] == [FIRST_SECONDS * factor for factor in (1, 2, 4, 8)]
    assert delays[9:] == [LONGEST_SECONDS] * 1991


def test_a_worker_that_ran_well_is_replaced_soon() -> None:
    backoff = Backoff()
    for _ in range(5):
        backoff.after(1.0)

    assert backoff.after(WELL_SECONDS) == FIRST_SECONDS
    assert backoff.after(1.0) == 2 * FIRST_SECONDS

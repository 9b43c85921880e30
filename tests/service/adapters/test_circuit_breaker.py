"""A circuit breaker refuses calls to what keeps failing, and lets one at a time find out."""

import asyncio
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from structlog.testing import capture_logs

from service.adapters.circuit_breaker import CircuitBreaker, CircuitOpenError, CircuitState
from tests.service.adapters.conftest import Clock


class BrokenError(Exception):
    """The dependency failed."""


@dataclass
class Bench:
    """A breaker, its clock, and what it has told."""

    breaker: CircuitBreaker
    clock: Clock
    told: list[tuple[str, str]]

    def fail(self, times: int = 1) -> None:
        for _ in range(times):
            with pytest.raises(BrokenError), self.breaker.call(BrokenError):
                raise BrokenError

    def fail_with_retry_after(self, seconds: float) -> None:
        call = self.start()
        self.breaker.open_for(seconds)
        with pytest.raises(BrokenError):
            end(call, BrokenError())

    def succeed(self) -> None:
        with self.breaker.call(BrokenError):
            pass

    def is_refused(self) -> bool:
        try:
            self.succeed()
        except CircuitOpenError:
            return True
        return False

    def start(self) -> AbstractContextManager[None]:
        call = self.breaker.call(BrokenError)
        call.__enter__()
        return call

    def states(self) -> list[str]:
        return [state for _, state in self.told]


def end(call: AbstractContextManager[None], error: BaseException | None = None) -> None:
    if not call.__exit__(type(error) if error else None, error, None) and error:
        raise error


@pytest.fixture
def bench() -> Bench:
    clock, told = Clock(), list[tuple[str, str]]()
    breaker = CircuitBreaker(
        "shop",
        failures_to_open=3,
        open_seconds=1.0,
        max_open_seconds=5.0,
        on_change=lambda dependency, state: told.append((dependency, state)),
        clock=clock,
    )
    return Bench(breaker, clock, told)


def test_it_opens_after_enough_failures_in_a_row(bench: Bench) -> None:
    bench.fail(times=3)

    assert bench.breaker.state is CircuitState.OPEN
    with pytest.raises(CircuitOpenError, match="shop"):
        bench.succeed()


def test_a_success_in_between_starts_the_count_anew(bench: Bench) -> None:
    bench.fail(times=2)
    bench.succeed()
    bench.fail(times=2)

    assert bench.breaker.state is CircuitState.CLOSED


def test_it_hands_the_failure_on_to_the_caller(bench: Bench) -> None:
    error = BrokenError("why")

    with pytest.raises(BrokenError) as caught, bench.breaker.call(BrokenError):
        raise error

    assert caught.value is error


def test_an_error_that_is_not_the_dependencys_counts_neither_way(bench: Bench) -> None:
    bench.fail(times=2)

    with pytest.raises(KeyError), bench.breaker.call(BrokenError):
        raise KeyError
    bench.fail()

    assert bench.breaker.state is CircuitState.OPEN


def test_a_refused_call_counts_neither_way(bench: Bench) -> None:
    bench.fail(times=3)

    refused = [bench.is_refused() for _ in range(10)]
    bench.clock.advance(1.0)

    assert all(refused)
    assert not bench.is_refused()


def test_it_stays_open_until_its_time_is_over(bench: Bench) -> None:
    bench.fail(times=3)

    bench.clock.advance(0.999)

    assert bench.is_refused()


def test_it_lets_one_probe_through_at_a_time(bench: Bench) -> None:
    bench.fail(times=3)
    bench.clock.advance(1.0)

    probe = bench.start()

    assert bench.states()[-1] == "half_open"
    assert bench.is_refused()
    end(probe)
    assert bench.states()[-1] == "closed"
    assert not bench.is_refused()


def test_a_failed_probe_doubles_the_time_up_to_a_limit(bench: Bench) -> None:
    bench.fail(times=3)

    waits = [_seconds_until_a_probe_fails(bench) for _ in range(5)]

    assert waits == [1, 2, 4, 5, 5]


def _seconds_until_a_probe_fails(bench: Bench) -> int:
    for seconds in range(1, 100):
        bench.clock.advance(1)
        try:
            with bench.breaker.call(BrokenError):
                raise BrokenError
        except CircuitOpenError:
            continue
        except BrokenError:
            return seconds
    raise AssertionError("never probed")


def test_a_good_probe_makes_the_next_opening_short_again(bench: Bench) -> None:
    bench.fail(times=3)
    bench.clock.advance(1)
    bench.fail()
    bench.clock.advance(2)
    bench.succeed()

    bench.fail(times=3)
    bench.clock.advance(1)

    assert not bench.is_refused()


@pytest.mark.parametrize("reason", [asyncio.CancelledError(), KeyError("ours")])
def test_a_probe_that_says_nothing_frees_the_place_at_once(
    bench: Bench, reason: BaseException
) -> None:
    bench.fail(times=3)
    bench.clock.advance(1)

    with pytest.raises(type(reason)), bench.breaker.call(BrokenError):
        raise reason

    assert bench.states()[-1] == "open"
    assert not bench.is_refused()
    assert bench.states()[-1] == "closed"


def test_a_cancelled_probe_does_not_double_the_time(bench: Bench) -> None:
    bench.fail(times=3)
    bench.clock.advance(1)
    with pytest.raises(asyncio.CancelledError), bench.breaker.call(BrokenError):
        raise asyncio.CancelledError

    bench.fail()
    bench.clock.advance(2)

    assert not bench.is_refused()


def test_retry_after_opens_it_for_as_long_as_it_says(bench: Bench) -> None:
    bench.breaker.open_for(3)

    bench.clock.advance(2.9)
    early = bench.is_refused()
    bench.clock.advance(0.1)

    assert early
    assert not bench.is_refused()


@pytest.mark.parametrize("seconds", [3600, float("inf")])
def test_retry_after_counts_up_to_the_longest_time(bench: Bench, seconds: float) -> None:
    bench.breaker.open_for(seconds)

    bench.clock.advance(5)

    assert not bench.is_refused()


def test_a_failure_told_together_with_retry_after_does_not_cut_it_short(bench: Bench) -> None:
    bench.fail_with_retry_after(4)

    bench.clock.advance(3.9)

    assert bench.is_refused()


def test_a_probe_refused_with_retry_after_waits_for_the_longer_of_both(bench: Bench) -> None:
    bench.fail(times=3)
    bench.clock.advance(1)
    bench.fail_with_retry_after(0.1)

    bench.clock.advance(1.9)

    assert bench.is_refused()


def test_late_failures_of_older_calls_do_not_keep_it_open(bench: Bench) -> None:
    late = [bench.start() for _ in range(5)]
    bench.fail(times=3)

    bench.clock.advance(0.9)
    for call in late:
        with pytest.raises(BrokenError):
            end(call, BrokenError())
    bench.clock.advance(0.1)

    assert not bench.is_refused()


def test_a_late_failure_does_not_end_the_probe(bench: Bench) -> None:
    late = bench.start()
    bench.fail(times=3)
    bench.clock.advance(1)
    probe = bench.start()

    with pytest.raises(BrokenError):
        end(late, BrokenError())

    assert bench.states()[-1] == "half_open"
    end(probe)
    assert bench.states()[-1] == "closed"


def test_a_late_success_does_not_close_it(bench: Bench) -> None:
    late = bench.start()
    bench.fail(times=3)

    end(late)

    assert bench.breaker.state is CircuitState.OPEN
    assert bench.is_refused()


def test_a_late_retry_after_does_not_let_a_second_probe_in(bench: Bench) -> None:
    late = bench.start()
    bench.fail(times=3)
    bench.clock.advance(1)
    probe = bench.start()

    bench.breaker.open_for(0)
    with pytest.raises(BrokenError):
        end(late, BrokenError())

    assert bench.is_refused()
    end(probe)


def test_it_tells_its_state_at_first_and_then_every_change(bench: Bench) -> None:
    bench.fail(times=3)
    bench.clock.advance(1)
    bench.fail()
    bench.clock.advance(2)
    bench.succeed()

    assert bench.states() == ["closed", "open", "half_open", "open", "half_open", "closed"]
    assert {dependency for dependency, _ in bench.told} == {"shop"}


def test_it_logs_opening_and_closing_but_not_every_probe(bench: Bench) -> None:
    with capture_logs() as logs:
        bench.fail(times=3)
        for seconds in (1, 2, 4):
            bench.clock.advance(seconds)
            bench.fail()
        bench.clock.advance(5)
        bench.succeed()

    assert [(line["event"], line["dependency"], line["state"]) for line in logs] == [
        ("circuit_changed", "shop", "open"),
        ("circuit_changed", "shop", "closed"),
    ]


class AnyHistory(RuleBasedStateMachine):
    """Calls begin, overlap and end in any order while time passes."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.breaker = CircuitBreaker("shop", failures_to_open=2, clock=self.clock)
        self.calls: list[AbstractContextManager[None]] = []
        self.probe: AbstractContextManager[None] | None = None

    @rule()
    def begin(self) -> None:
        before = self.breaker.state
        call = self.breaker.call(BrokenError)
        try:
            call.__enter__()
        except CircuitOpenError:
            assert before is not CircuitState.CLOSED
            return
        if before is CircuitState.CLOSED:
            self.calls.append(call)
        else:
            assert self.probe is None, "two probes at once"
            self.probe = call

    @precondition(lambda self: self.calls)
    @rule(error=st.sampled_from([None, BrokenError, asyncio.CancelledError]))
    def end_an_ordinary_call(self, error: type[BaseException] | None) -> None:
        before = self.breaker.state
        self._end(self.calls.pop(0), error)
        if before is not CircuitState.CLOSED:
            assert self.breaker.state is before, "a late result changed the state"

    @precondition(lambda self: self.probe)
    @rule(error=st.sampled_from([None, BrokenError, asyncio.CancelledError]))
    def end_the_probe(self, error: type[BaseException] | None) -> None:
        assert self.probe is not None
        probe, self.probe = self.probe, None
        self._end(probe, error)
        expected = CircuitState.OPEN if error else CircuitState.CLOSED
        assert self.breaker.state is expected

    @rule(seconds=st.sampled_from([0.1, 0.5, 1.0, 2.0, 10.0]))
    def wait(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @precondition(lambda self: self.probe is None)
    @rule(seconds=st.sampled_from([0.0, 0.5, 30.0]))
    def be_told_to_retry_after(self, seconds: float) -> None:
        self.breaker.open_for(seconds)
        assert self.breaker.state is CircuitState.OPEN

    @invariant()
    def it_is_half_open_exactly_while_a_probe_is_under_way(self) -> None:
        assert (self.breaker.state is CircuitState.HALF_OPEN) == (self.probe is not None)

    def teardown(self) -> None:
        """However it got here, after the longest time one good probe closes it."""
        if self.probe is not None:
            self.end_the_probe(None)
        self.clock.advance(10.0)
        with self.breaker.call(BrokenError):
            pass
        assert self.breaker.state is CircuitState.CLOSED

    @staticmethod
    def _end(call: AbstractContextManager[None], error: type[BaseException] | None) -> None:
        with pytest.raises(error) if error else nullcontext():
            end(call, error() if error else None)


TestAnyHistory = AnyHistory.TestCase
TestAnyHistory.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)

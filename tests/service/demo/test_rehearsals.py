"""What can be broken by name: everything that can break, and an alert for each."""

import pytest

from dashboards.alerts import ALERTS
from dashboards.slo import seconds_of
from service.__main__ import main
from service.demo.faults import Pace
from service.demo.misbehaviour import MISBEHAVIOURS
from service.demo.rehearsals import FAULTS, Fault, Misbehaviour, faults_of


def test_an_unknown_name_is_refused_and_all_known_ones_listed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["demo", "--faults", "loop-blocked,earthquake"])

    said = capsys.readouterr().err
    assert ended.value.code == 2
    assert "there is no 'earthquake'; there is: " in said
    assert all(fault.name in said for fault in FAULTS)


def test_help_says_what_there_is_and_which_alert_tells_of_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit):
        main(["demo", "--help"])

    lines = capsys.readouterr().out.splitlines()
    for fault in FAULTS:
        assert any({fault.name, fault.alert} <= set(line.split()) for line in lines)


def test_an_upstream_can_be_broken_in_every_way() -> None:
    modes = {fault.cause.mode for fault in FAULTS if isinstance(fault.cause, Misbehaviour)}

    assert modes == set(MISBEHAVIOURS)


def test_faults_are_caused_in_the_order_in_which_they_are_named() -> None:
    named = faults_of("valkey-stopped, loop-blocked")

    assert [fault.name for fault in named] == ["valkey-stopped", "loop-blocked"]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_chosen_fault_lasts_longer_than_its_alert_waits(fault: Fault) -> None:
    waits = [seconds_of(alert.holds) for alert in ALERTS if alert.name == fault.alert]

    assert min(waits) < Pace.of([fault]).fault_seconds
    assert Pace.of(FAULTS).fault_seconds < Pace.of([fault]).fault_seconds

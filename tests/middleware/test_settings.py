"""The environment, checked once, with nothing secret in what is said about it."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from middleware import Settings


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No `.env` of the developer's, no settings of the shell's."""
    monkeypatch.chdir(tmp_path)
    for name in ("OPS_HOST", "OPS_PORT", "OPS_TOKEN", "LOG_LEVEL", "LOG_FORMAT", "SENTRY_DSN"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("OPS_PORT", "70000"),
        ("OPS_PORT", "-1"),
        ("OPS_PORT", "http"),
        ("LOG_LEVEL", "loud"),
        ("LOG_FORMAT", "xml"),
        ("OBSERVABILITY__METRICS", "perhaps"),
        ("OBSERVABILITY__METRIX", "true"),
        ("OBSERVABILITY__MAX_LABEL_SETS", "0"),
        ("OBSERVABILITY__SLOW_REQUEST_SECONDS", "0"),
        ("OBSERVABILITY__SLOW_REQUEST_SECONDS", "inf"),
    ],
)
def test_a_wrong_value_is_refused_by_its_name(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)

    with pytest.raises(ValidationError) as refused:
        Settings()

    assert ".".join(map(str, refused.value.errors()[0]["loc"])) == name.lower().replace("__", ".")


def test_all_faults_are_reported_together_and_no_secret_among_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SENTRY_DSN", "https://hunter2@sentry.test/1")
    monkeypatch.setenv("OPS_PORT", "hunter3")
    monkeypatch.setenv("LOG_LEVEL", "loud")

    with pytest.raises(ValidationError) as refused:
        Settings()

    assert refused.value.error_count() == 2
    assert "hunter" not in str(refused.value)


def test_nothing_set_is_everything_on_and_nothing_open_to_others() -> None:
    settings = Settings()

    switches = settings.observability
    assert all((switches.metrics, switches.traces, switches.logs, switches.sentry, switches.ops))
    assert (settings.ops_host, settings.ops_port) == ("127.0.0.1", 9464)
    assert (settings.log_level, settings.log_format) == ("info", "json")
    assert settings.sentry_dsn is None
    assert switches.max_label_sets == 2000


@pytest.mark.parametrize("switch", ["metrics", "traces", "logs", "sentry", "ops"])
def test_each_signal_can_be_switched_off(monkeypatch: pytest.MonkeyPatch, switch: str) -> None:
    monkeypatch.setenv(f"OBSERVABILITY__{switch.upper()}", "false")

    switches = Settings().observability

    assert getattr(switches, switch) is False
    assert [on for on in switches.model_dump().values() if on is False] == [False]


def test_what_is_empty_is_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPS_PORT", "LOG_LEVEL", "SENTRY_DSN"):
        monkeypatch.setenv(name, "")

    assert Settings().ops_port == 9464


def test_a_level_is_read_in_any_case(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOG_LEVEL", "WARNING")

    assert Settings().log_level == "warning"


def test_a_file_is_honoured_and_the_environment_stronger(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".env").write_text("OPS_PORT=1234\nLOG_FORMAT=console\nSOMEBODY_ELSES=1\n")
    monkeypatch.setenv("OPS_PORT", "4321")

    settings = Settings()

    assert (settings.ops_port, settings.log_format) == (4321, "console")


def test_secrets_are_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SENTRY_DSN", "https://hunter2@sentry.test/1")
    monkeypatch.setenv("OPS_TOKEN", "hunter3")

    assert "hunter" not in repr(Settings())


def test_settings_do_not_change() -> None:
    with pytest.raises(ValidationError):
        Settings().ops_port = 1  # type: ignore[misc]

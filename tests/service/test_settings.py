"""The environment is checked once, all faults together, and secrets stay where they are."""

from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import ValidationError

from service.settings import DatabaseAddress, Settings, SettingsError

NEEDED = {
    "DATABASE_URL": "postgresql://stallscope@127.0.0.1/products",
    "REVIEWS__URL": "http://127.0.0.1:8101",
    "INVENTORY__URL": "http://127.0.0.1:8102",
}
DIGEST = "2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae"
Read = Callable[..., Settings]


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Read:
    """Reads settings from an environment of NEEDED and the variables given, nothing else."""
    monkeypatch.chdir(tmp_path)

    def read_from(**environment: str) -> Settings:
        with monkeypatch.context() as changed:
            for name in list(_field_names()):
                changed.delenv(name, raising=False)
            for name, value in {**NEEDED, **environment}.items():
                changed.setenv(name, value)
            return Settings.from_environment()

    return read_from


def _field_names() -> set[str]:
    return {name.upper() for name in Settings.model_fields} | set(NEEDED)


def _faults(error: pytest.ExceptionInfo[SettingsError]) -> dict[str, str]:
    _, *lines = str(error.value).splitlines()
    return {name.strip(): what for name, _, what in (line.partition(": ") for line in lines)}


def test_all_that_is_missing_is_said_at_once(read: Read) -> None:
    with pytest.raises(SettingsError) as error:
        read(DATABASE_URL="", REVIEWS__URL="", INVENTORY__URL="")

    assert _faults(error) == dict.fromkeys(NEEDED, "is missing")


FAULTS = {
    "DATABASE_URL": "mysql://127.0.0.1/products",
    "REDIS_URL": "http://127.0.0.1",
    "REVIEWS__URL": "ftp://127.0.0.1",
    "INVENTORY__TIMEOUT_SECONDS": "-1",
    "INVENTORY__CONNECT_TIMEOUT_SECONDS": "soon",
    "PORT": "65536",
    "OPS_PORT": "-1",
    "LOG_LEVEL": "loud",
    "LOG_FORMAT": "xml",
    "DATABASE__POOL_MIN_SIZE": "0",
    "DATABASE__STATEMENT_TIMEOUT_SECONDS": "0",
    "CACHE__TTL_SECONDS": "0",
    "CACHE__LOCAL_MAX_BYTES": "-1",
    "REQUEST_BUDGET_SECONDS": "0",
    "API_KEYS": "not-a-digest",
    "RATE_LIMIT": "many",
    "MAX_IN_FLIGHT": "0",
    "STARTUP_TIMEOUT_SECONDS": "0",
    "SHUTDOWN_GRACE_SECONDS": "-5",
}


def test_every_fault_is_said_at_once_under_its_variables_name(read: Read) -> None:
    with pytest.raises(SettingsError) as error:
        read(**FAULTS)

    assert set(_faults(error)) == set(FAULTS)


@pytest.mark.parametrize(("name", "value"), FAULTS.items())
def test_each_fault_is_said_alone_too(read: Read, name: str, value: str) -> None:
    with pytest.raises(SettingsError) as error:
        read(**{name: value})

    assert list(_faults(error)) == [name]


@pytest.mark.parametrize("seconds", ["nan", "inf", "-inf"])
@pytest.mark.parametrize("name", ["REQUEST_BUDGET_SECONDS", "CACHE__TTL_SECONDS"])
def test_a_time_is_a_finite_number(read: Read, name: str, seconds: str) -> None:
    with pytest.raises(SettingsError) as error:
        read(**{name: seconds})

    assert name in _faults(error)


CONTRADICTIONS = {
    "an upstream may not use the whole budget": (
        {"REQUEST_BUDGET_SECONDS": "1", "INVENTORY__TIMEOUT_SECONDS": "0.5"},
        "REVIEWS",
    ),
    "nor may the other": (
        {"REQUEST_BUDGET_SECONDS": "1", "REVIEWS__TIMEOUT_SECONDS": "0.5"},
        "INVENTORY",
    ),
    "stale comes after fresh": ({"CACHE__STALE_SECONDS": "29"}, "CACHE__STALE_SECONDS"),
    "the pool holds its minimum": ({"DATABASE__POOL_MAX_SIZE": "9"}, "DATABASE__POOL_MAX_SIZE"),
}


@pytest.mark.parametrize(("environment", "name"), CONTRADICTIONS.values(), ids=list(CONTRADICTIONS))
def test_a_contradiction_is_a_fault(read: Read, environment: dict[str, str], name: str) -> None:
    with pytest.raises(SettingsError) as error:
        read(**environment)

    assert list(_faults(error)) == [name]


def test_contradictions_are_said_together_with_the_rest(read: Read) -> None:
    with pytest.raises(SettingsError) as error:
        read(
            PORT="none",
            REVIEWS__TIMEOUT_SECONDS="5",
            CACHE__STALE_SECONDS="1",
            DATABASE__POOL_MAX_SIZE="1",
        )

    expected = {"PORT", "REVIEWS", "CACHE__STALE_SECONDS", "DATABASE__POOL_MAX_SIZE"}
    assert set(_faults(error)) == expected


@pytest.mark.parametrize(
    "name", ["CACHE__TTL", "DATABASE__POOL_SIZE", "REVIEWS__TIMEOUT", "INVENTORY__URLS"]
)
def test_a_misspelled_nested_name_is_refused(read: Read, name: str) -> None:
    with pytest.raises(SettingsError) as error:
        read(**{name: "1"})

    assert _faults(error) == {name: "there is no such setting"}


SECRETS = {
    "DATABASE_URL": "mysql://admin:hunter2@127.0.0.1/products",
    "REDIS_URL": "amqp://:hunter2@127.0.0.1",
    "REVIEWS__URL": "ftp://user:hunter2@127.0.0.1",
    "API_KEYS": "hunter2",
    "RATE_LIMIT": "hunter2",
}


def test_secrets_are_not_printed(read: Read) -> None:
    with pytest.raises(SettingsError) as error:
        read(**SECRETS)

    assert "hunter2" not in str(error.value)
    assert error.value.__suppress_context__
    assert set(_faults(error)) == set(SECRETS)


@pytest.mark.parametrize("name", ["PORT", "REQUEST_BUDGET_SECONDS", "REDIS_URL", "RATE_LIMIT"])
def test_empty_means_unset(read: Read, name: str) -> None:
    assert read(**{name: ""}) == read()


def test_the_defaults_are_those_of_the_design(read: Read) -> None:
    settings = read()

    assert (settings.host, settings.port) == ("0.0.0.0", 8000)
    assert (settings.ops_host, settings.ops_port) == ("127.0.0.1", 9464)
    assert (settings.redis_url, settings.rate, settings.api_keys) == (None, None, frozenset())
    assert settings.request_budget_seconds == 5
    assert (settings.cache.ttl_seconds, settings.cache.stale_seconds) == (30, 300)
    assert settings.max_in_flight == 2000
    for upstream in (settings.reviews, settings.inventory):
        assert (upstream.timeout_seconds, upstream.connect_timeout_seconds) == (2, 0.5)


def test_settings_cannot_be_changed_afterwards(read: Read) -> None:
    settings = read()

    for part, name in ((settings, "port"), (settings.cache, "ttl_seconds")):
        with pytest.raises(ValidationError):
            setattr(part, name, 1)


def test_a_file_named_env_is_read_and_the_environment_goes_first(
    read: Read, tmp_path: Path
) -> None:
    lines = ["PORT=8001", "CACHE__TTL_SECONDS=7", "MAX_IN_FLIGHT=5", "SOMEBODY_ELSES=1"]
    (tmp_path / ".env").write_text("\n".join(lines))

    settings = read(MAX_IN_FLIGHT="6")

    assert (settings.port, settings.cache.ttl_seconds, settings.max_in_flight) == (8001, 7, 6)


def test_faults_in_the_file_are_faults(read: Read, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("PORT=none\nCACHE__TTL=1\n")

    with pytest.raises(SettingsError) as error:
        read()

    assert set(_faults(error)) == {"PORT", "CACHE__TTL"}


@pytest.mark.parametrize(
    "keys",
    ["hunter2", DIGEST[1:], DIGEST + "0", f"{DIGEST};{DIGEST}", f"{DIGEST},hunter2", "g" * 64],
)
def test_keys_that_are_no_digests_are_refused(read: Read, keys: str) -> None:
    with pytest.raises(SettingsError) as error:
        read(API_KEYS=keys)

    assert list(_faults(error)) == ["API_KEYS"]
    assert keys not in str(error.value)


@pytest.mark.parametrize(
    ("keys", "parsed"),
    [
        ("", set()),
        (DIGEST, {DIGEST}),
        (DIGEST.upper(), {DIGEST}),
        (f" {DIGEST} ,{'0' * 64},", {DIGEST, "0" * 64}),
        (f"{DIGEST},{DIGEST}", {DIGEST}),
    ],
)
def test_keys_are_a_list_of_digests(read: Read, keys: str, parsed: set[str]) -> None:
    assert read(API_KEYS=keys).api_keys == parsed


@pytest.mark.parametrize("rate", ["x", "0/second", "-1/second", "10/fortnight", "10", "/second"])
def test_a_rate_that_is_none_is_refused(read: Read, rate: str) -> None:
    with pytest.raises(SettingsError) as error:
        read(RATE_LIMIT=rate)

    assert list(_faults(error)) == ["RATE_LIMIT"]


@pytest.mark.parametrize(
    ("rate", "amount", "seconds"),
    [("100/second", 100, 1), ("5000/hour", 5000, 3600), ("3 per 10 minutes", 3, 600)],
)
def test_a_rate_is_so_many_in_a_time(read: Read, rate: str, amount: int, seconds: int) -> None:
    parsed = read(RATE_LIMIT=rate).rate

    assert parsed is not None
    assert (parsed.amount, parsed.get_expiry()) == (amount, seconds)


@pytest.mark.parametrize(
    ("name", "url"),
    [
        ("DATABASE_URL", "postgresql://postgres@%2Ftmp%2Fpg:5432/products"),
        ("DATABASE_URL", "postgresql:///products?host=/tmp/pg"),
        ("DATABASE_URL", "postgres://a:b@one:1,two:2/products"),
        ("REDIS_URL", "unix:///tmp/valkey.sock"),
        ("REDIS_URL", "rediss://:secret@127.0.0.1:6380/1"),
    ],
)
def test_urls_of_unix_sockets_and_clusters_are_accepted(read: Read, name: str, url: str) -> None:
    assert getattr(read(**{name: url}), name.lower()) == url


@pytest.mark.parametrize(
    ("name", "url"),
    [
        ("DATABASE_URL", "postgresql://[::1/products"),
        ("REDIS_URL", "redis://127.0.0.1:none"),
        ("REDIS_URL", "redis://127.0.0.1:6379/none"),
    ],
)
def test_a_url_that_its_client_could_not_read_is_a_fault(read: Read, name: str, url: str) -> None:
    with pytest.raises(SettingsError) as error:
        read(**{name: url})

    assert list(_faults(error)) == [name]


@pytest.mark.parametrize("level", ["DEBUG", "Info", "warning"])
def test_log_levels_may_be_in_capitals(read: Read, level: str) -> None:
    assert read(LOG_LEVEL=level).log_level == level.lower()


def test_a_migration_needs_nothing_but_the_database(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in _field_names():
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DATABASE_URL", NEEDED["DATABASE_URL"])

    assert DatabaseAddress.from_environment().database_url == NEEDED["DATABASE_URL"]

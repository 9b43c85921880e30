"""What an app lets be done to it is done on its own loop, for operators and nobody else."""

import asyncio
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import pytest

from middleware import Action, Health, RefusedError

from .asking import Answer, ops_port

TOKEN = "s3cret-token"


async def refuse(asked: Mapping[str, str]) -> object:
    raise RefusedError(f"Not {asked['what']}.")


async def fail(asked: Mapping[str, str]) -> object:
    raise KeyError("secret")


async def tell(asked: Mapping[str, str]) -> object:
    return {"asked": dict(asked), "thread": threading.current_thread().name}


ACTIONS: dict[str, Action] = {"/refuse": refuse, "/fail": fail, "/models/tell": tell}


@contextmanager
def app_with_actions(token: str | None = None) -> Iterator[int]:
    health = Health()
    loop = asyncio.new_event_loop()
    health.loop = loop
    thread = threading.Thread(target=loop.run_forever, name="the app")
    thread.start()
    try:
        with ops_port(health, actions=ACTIONS, token=token) as port:
            yield port
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE"])
def test_an_action_takes_a_post(method: str) -> None:
    with app_with_actions() as port:
        answer = Answer(port, "/models/tell", method)

    assert (answer.status, answer.headers["allow"]) == (405, "POST")


def test_without_the_token_nothing_is_done() -> None:
    with app_with_actions(TOKEN) as port:
        assert Answer(port, "/models/tell", "POST").status == 401
        allowed = Answer(port, "/models/tell", "POST", Authorization=f"Bearer {TOKEN}")

    assert allowed.status == 200


def test_a_page_of_another_site_cannot_have_it_done() -> None:
    with app_with_actions() as port:
        answer = Answer(port, "/models/tell", "POST", Origin="https://example.org")

    assert answer.status == 403


def test_before_the_app_runs_it_is_a_503() -> None:
    with ops_port(Health(), actions=ACTIONS) as port:
        assert Answer(port, "/models/tell", "POST").status == 503


def test_a_refusal_is_a_409_that_says_why() -> None:
    with app_with_actions() as port:
        answer = Answer(port, "/refuse?what=now", "POST")

    assert (answer.status, answer.json()["detail"]) == (409, "Not now.")


def test_a_failure_is_a_500_that_tells_nothing() -> None:
    with app_with_actions() as port:
        answer = Answer(port, "/fail", "POST")

    assert answer.status == 500
    assert "secret" not in answer.text


def test_what_the_app_adds_while_it_starts_is_there() -> None:
    later: dict[str, Action] = {}

    with ops_port(Health(), actions=later) as port:
        later["/refuse"] = refuse
        assert Answer(port, "/refuse", "POST").status == 503


def test_it_is_done_on_the_apps_loop_with_what_was_asked() -> None:
    with app_with_actions() as port:
        answer = Answer(port, "/models/tell?model=tabular&model=%C3%BC", "POST")

    assert answer.json() == {"asked": {"model": "ü"}, "thread": "the app"}

"""Too much is refused at the door: too many requests at once, too large bodies."""

import asyncio
import json
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from prometheus_client import CollectorRegistry, Counter
from pydantic import BaseModel

from middleware.asgi import Receive, Scope, Send
from service.edge.admission import MAX_BODY_BYTES, Admission
from service.edge.response_headers import ResponseHeaders
from tests.fakes import PATIENCE_SECONDS, FakeWorld
from tests.service.serving import PRODUCT, Answer, app_of, call, client_of, http_scope

CHUNKED = (b"transfer-encoding", b"chunked")
HALF = b"x" * (MAX_BODY_BYTES // 2)


class Note(BaseModel):
    text: str


class Gate:
    """An application that keeps every request until it is opened."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.inside = asyncio.Semaphore(0)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.inside.release()
        await self.open.wait()
        await _read_all(scope, receive, send)


async def _read_all(scope: Scope, receive: Receive, send: Send) -> None:
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"read"})


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def shed(registry: CollectorRegistry) -> Counter:
    return Counter("requests_shed_total", "Shed.", ["reason"], registry=registry)


def _sheddings(registry: CollectorRegistry) -> float | None:
    return registry.get_sample_value("requests_shed_total", {"reason": "max_in_flight"})


@pytest.mark.parametrize("length", [MAX_BODY_BYTES + 1, 10**12])
async def test_a_body_declared_too_large_is_refused_unread(shed: Counter, length: int) -> None:
    app = ResponseHeaders(Admission(Gate(), max_in_flight=1, shed=shed))
    headers = [(b"content-length", str(length).encode())]

    answer = await call(app, http_scope("POST", headers), b"only the beginning")

    _assert_too_large(answer)


async def test_a_body_that_grows_too_large_in_pieces_is_refused(shed: Counter) -> None:
    app = ResponseHeaders(Admission(_read_all, max_in_flight=1, shed=shed))

    answer = await call(app, http_scope("POST", [CHUNKED]), HALF, HALF, b"x", HALF)

    _assert_too_large(answer)


async def test_a_body_that_only_claims_to_be_small_is_refused(shed: Counter) -> None:
    app = ResponseHeaders(Admission(_read_all, max_in_flight=1, shed=shed))

    answer = await call(app, http_scope("POST", [(b"content-length", b"5")]), HALF, HALF, b"x")

    _assert_too_large(answer)


async def test_a_body_of_exactly_the_limit_is_let_in(shed: Counter) -> None:
    app = ResponseHeaders(Admission(_read_all, max_in_flight=1, shed=shed))

    answer = await call(app, http_scope("POST", [CHUNKED]), HALF, HALF)

    assert (answer.status, answer.body) == (200, b"read")


async def test_a_refused_body_frees_its_place(shed: Counter) -> None:
    admission = Admission(_read_all, max_in_flight=1, shed=shed)
    app = ResponseHeaders(admission)

    await call(app, http_scope("POST", [CHUNKED]), HALF, HALF, b"x")

    assert admission.in_flight == 0
    assert (await call(app, http_scope())).status == 200


def test_a_chunked_body_too_large_for_a_route_that_parses_it_is_a_413() -> None:
    app = app_of()

    @app.post("/notes")
    async def take(note: Note) -> None: ...

    headers = {"Content-Type": "application/json"}
    with client_of(app) as client:
        response = client.post("/notes", content=iter([HALF, HALF, b"x"]), headers=headers)

    assert response.status_code == 413


def test_a_chunked_body_too_large_is_a_413_where_nobody_asked_for_one() -> None:
    world = FakeWorld()
    world.catalog.hang()
    with client_of(app_of(world)) as client:
        response = client.request("GET", PRODUCT, content=iter([HALF, HALF, b"x"]))

    assert response.status_code == 413


async def test_exactly_so_many_are_let_in_and_the_next_is_shed(
    shed: Counter, registry: CollectorRegistry
) -> None:
    gate = Gate()
    app = ResponseHeaders(Admission(gate, max_in_flight=3, shed=shed))
    async with asyncio.TaskGroup() as group:
        inside = [group.create_task(call(app, http_scope())) for _ in range(3)]
        for _ in range(3):
            await gate.inside.acquire()

        refused = [await call(app, http_scope()) for _ in range(2)]

        gate.open.set()
    assert [task.result().status for task in inside] == [200, 200, 200]
    assert [answer.status for answer in refused] == [503, 503]
    assert _sheddings(registry) == 2
    _assert_shed(refused[0])


async def test_a_place_is_free_again_when_its_request_is_done(shed: Counter) -> None:
    app = ResponseHeaders(Admission(_read_all, max_in_flight=1, shed=shed))

    statuses = [(await call(app, http_scope())).status for _ in range(3)]

    assert statuses == [200, 200, 200]


async def test_a_place_is_free_again_when_its_request_fails(shed: Counter) -> None:
    async def broken(scope: Scope, receive: Receive, send: Send) -> None:
        raise RuntimeError

    admission = Admission(broken, max_in_flight=1, shed=shed)
    app = ResponseHeaders(admission)
    for _ in range(2):
        with pytest.raises(RuntimeError):
            await call(app, http_scope())

    assert admission.in_flight == 0


async def test_a_place_is_free_again_when_its_request_is_cancelled(shed: Counter) -> None:
    gate = Gate()
    admission = Admission(gate, max_in_flight=1, shed=shed)
    waiting = asyncio.create_task(call(ResponseHeaders(admission), http_scope()))
    await gate.inside.acquire()

    waiting.cancel()

    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert admission.in_flight == 0


async def test_an_error_after_the_answer_began_is_not_answered_again(shed: Counter) -> None:
    async def hasty(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await receive()
        await receive()

    app = ResponseHeaders(Admission(hasty, max_in_flight=1, shed=shed))

    with pytest.raises(Exception):  # noqa: B017, PT011 - for the server to log
        await call(app, http_scope("POST", [CHUNKED]), HALF, HALF + b"x")


def test_sheddings_are_counted_from_0() -> None:
    app = app_of()
    with client_of(app):
        assert _sheddings(app.state.registry) == 0


def test_the_service_sheds_what_exceeds_its_setting() -> None:
    world = FakeWorld()
    world.catalog.hang()
    app = app_of(world, max_in_flight=1)
    with client_of(app) as client, ThreadPoolExecutor() as threads:
        first = threads.submit(client.get, PRODUCT)
        _await_a_call(world)

        refused = client.get("/health")

        world.catalog.release()
        assert first.result(timeout=PATIENCE_SECONDS).status_code == 200
    assert refused.status_code == 503
    assert int(refused.headers["retry-after"]) >= 1
    assert _sheddings(app.state.registry) == 1


def _await_a_call(world: FakeWorld) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not world.catalog.calls:
        assert time.monotonic() < deadline
        time.sleep(0.001)


def _assert_too_large(answer: Answer) -> None:
    assert answer.status == 413
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["connection"] == "close"
    problem = json.loads(answer.body)
    assert problem["status"] == 413
    assert problem["request_id"] == "the-request"
    assert str(MAX_BODY_BYTES) in problem["detail"]


def _assert_shed(answer: Answer) -> None:
    assert int(answer.headers["retry-after"]) >= 1
    assert answer.headers["content-type"] == "application/problem+json"
    problem = json.loads(answer.body)
    assert problem["status"] == 503
    assert problem["request_id"] == "the-request"

"""What the app raises is found in Sentry, with its request and without its secrets."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import sentry_sdk
from fastapi import APIRouter, BackgroundTasks, FastAPI, WebSocket
from pydantic import SecretStr

from middleware import Observability, Settings
from middleware.asgi import ASGIApp, Message, Receive, Scope, Send
from middleware.settings import Switches
from tests.middleware.sentry_receiver import SentryReceiver, receiving

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"


class BoomError(Exception):
    """What our apps raise."""


@pytest.fixture
def sentry() -> Iterator[SentryReceiver]:
    with receiving() as receiver:
        yield receiver


def only_sentry(sentry: SentryReceiver) -> Settings:
    off = Switches(metrics=False, traces=False, logs=False, ops=False, stalls=False)
    return Settings(sentry_dsn=SecretStr(sentry.dsn), observability=off)


@asynccontextmanager
async def running(observed: ASGIApp) -> AsyncIterator[None]:
    """The lifespan of `observed`, from startup to shutdown."""
    to_app: asyncio.Queue[Message] = asyncio.Queue()
    from_app: asyncio.Queue[Message] = asyncio.Queue()
    scope = {"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(observed(scope, to_app.get, from_app.put))  # type: ignore[arg-type]  # a coroutine, by its own word only an awaitable
        to_app.put_nowait({"type": "lifespan.startup"})
        assert (await from_app.get())["type"] == "lifespan.startup.complete"
        try:
            yield
        finally:
            to_app.put_nowait({"type": "lifespan.shutdown"})


async def call(
    observed: ASGIApp, path: str = "/", *, disconnects: bool = False, **more: Any
) -> list[Message]:
    """The messages that `observed` answers with, whether or not it raises then."""
    sent: list[Message] = []
    scope: Scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": b"",
        "headers": [],
        "client": ("192.0.2.1", 5),
        "server": ("shop", 80),
        "state": {},
        **more,
    }

    async def receive() -> Message:
        if disconnects:
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": b"the body", "more_body": False}

    async def send(message: Message) -> None:
        sent.append(message)

    try:
        await observed(scope, receive, send)
    except (Exception, asyncio.CancelledError):  # noqa: BLE001 - as a server does
        pass
    return sent


def raising(error: BaseException) -> ASGIApp:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await receive()
            raise error
        assert scope["type"] == "lifespan"
        while (await receive())["type"] == "lifespan.startup":
            await send({"type": "lifespan.startup.complete"})
        await send({"type": "lifespan.shutdown.complete"})

    return app


def shop() -> FastAPI:
    router = APIRouter(prefix="/v1")

    @router.get("/products/{product_id}")
    async def product(product_id: int) -> None:
        password = "tr0ub4dor"  # noqa: F841 - a local that must stay here
        try:
            raise KeyError(product_id)
        except KeyError as error:
            raise BoomError("postgres://me:hunter2@db/x is gone") from error

    @router.get("/later")
    async def later(background: BackgroundTasks) -> str:
        async def fail() -> None:
            raise BoomError("after the response")

        background.add_task(fail)
        return "fine"

    app = FastAPI()
    app.include_router(router, prefix="/shop")
    return app


class Ended(BaseException):
    """Ends a process, as SystemExit does, but for pytest."""


class ClientDisconnect(Exception):  # noqa: N818 - as Starlette calls it
    """The client has gone."""


class WebSocketDisconnect(Exception):  # noqa: N818 - as Starlette calls it
    """The client has gone."""


@pytest.mark.parametrize(
    "error", [asyncio.CancelledError(), Ended(), ClientDisconnect(), WebSocketDisconnect()]
)
async def test_what_is_no_fault_is_not_reported(
    sentry: SentryReceiver, error: BaseException
) -> None:
    observed = Observability(raising(error), settings=only_sentry(sentry))

    async with running(observed):
        try:
            await call(observed)
        except Ended:
            pass

    assert sentry.events.empty()


async def test_what_fails_because_the_client_hung_up_is_not_reported(
    sentry: SentryReceiver,
) -> None:
    observed = Observability(raising(OSError("gone")), settings=only_sentry(sentry))

    async with running(observed):
        await call(observed, disconnects=True)

    assert sentry.events.empty()


async def test_a_connection_that_broke_behind_the_service_is_reported(
    sentry: SentryReceiver,
) -> None:
    observed = Observability(raising(ConnectionResetError("db")), settings=only_sentry(sentry))

    async with running(observed):
        await call(observed)

    assert sentry.next_event()["exception"]["values"][0]["type"] == "ConnectionResetError"


async def test_a_plain_asgi_function_is_reported_as_unmatched(sentry: SentryReceiver) -> None:
    observed = Observability(raising(BoomError("x")), settings=only_sentry(sentry))

    async with running(observed):
        await call(observed)

    assert sentry.next_event()["transaction"] == "GET unmatched"


@pytest.mark.parametrize("added", [True, False], ids=["add_middleware", "wrapped from outside"])
async def test_an_error_in_fastapi_is_reported_under_its_route(
    sentry: SentryReceiver, added: bool
) -> None:
    app, settings = shop(), only_sentry(sentry)
    observed: ASGIApp = app
    if added:
        app.add_middleware(Observability, settings=settings)
    else:
        observed = Observability(app, settings=settings)

    async with running(observed):
        messages = await call(observed, "/shop/v1/products/7")

    event = sentry.next_event()
    assert messages[0]["status"] == 500
    assert event["transaction"] == "GET /shop/v1/products/{product_id}"
    assert event["tags"]["http.route"] == "/shop/v1/products/{product_id}"
    assert event["tags"]["http.request.method"] == "GET"
    assert sentry.events.empty()


async def test_an_error_after_the_response_is_reported(sentry: SentryReceiver) -> None:
    observed = Observability(shop(), settings=only_sentry(sentry))

    async with running(observed):
        messages = await call(observed, "/shop/v1/later")

    assert messages[0]["status"] == 200
    assert sentry.next_event()["exception"]["values"][-1]["value"] == "after the response"


async def test_an_error_in_a_websocket_is_reported(sentry: SentryReceiver) -> None:
    app = FastAPI()

    @app.websocket("/feed/{shelf}")
    async def feed(websocket: WebSocket) -> None:
        raise BoomError("x")

    observed = Observability(app, settings=only_sentry(sentry))
    async with running(observed):
        await call(observed, "/feed/7", type="websocket", subprotocols=[])

    event = sentry.next_event()
    assert event["transaction"] == "GET /feed/{shelf}"
    assert event["contexts"]["trace"]["op"] == "websocket.server"


async def test_an_event_shows_the_stack_with_source_and_without_variables(
    sentry: SentryReceiver,
) -> None:
    observed = Observability(shop(), settings=only_sentry(sentry))

    async with running(observed):
        await call(observed, "/shop/v1/products/7")

    event = sentry.next_event()
    cause, error = event["exception"]["values"]
    frame = error["stacktrace"]["frames"][-1]
    assert (cause["type"], error["type"]) == ("KeyError", "BoomError")
    assert error["mechanism"]["handled"] is False
    assert frame["function"] == "product"
    assert frame["context_line"].strip().startswith("raise BoomError")
    assert frame["pre_context"][-1].strip() == "except KeyError as error:"
    assert not any("vars" in each for each in error["stacktrace"]["frames"])


async def test_an_event_says_which_trace_and_request_it_belongs_to(sentry: SentryReceiver) -> None:
    headers = [
        (b"traceparent", f"00-{TRACE}-{PARENT}-01".encode()),
        (b"x-request-id", b"order-7"),
    ]
    observed = Observability(shop(), settings=only_sentry(sentry))

    async with running(observed):
        messages = await call(observed, "/shop/v1/products/7", headers=headers)

    event = sentry.next_event()
    span_id = dict(messages[0]["headers"])[b"traceresponse"].decode().split("-")[2]
    trace = {"trace_id": TRACE, "span_id": span_id, "parent_span_id": PARENT, "op": "http.server"}
    assert event["contexts"]["trace"] == trace
    assert event["tags"]["request_id"] == "order-7"


async def test_an_event_holds_no_secret_body_cookie_or_address(sentry: SentryReceiver) -> None:
    headers = [
        (b"host", b"me:s3cret-host@shop"),
        (b"authorization", b"Bearer s3cret-bearer"),
        (b"x-api-key", b"s3cret-key"),
        (b"cookie", b"id=s3cret-cookie"),
        (b"x-forwarded-for", b"198.51.100.7"),
        (b"referer", b"http://a/?t=s3cret-referer"),
        (b"user-agent", b"curl"),
    ]
    observed = Observability(shop(), settings=only_sentry(sentry))

    async with running(observed):
        await call(
            observed,
            "/shop/v1/products/7",
            headers=headers,
            query_string=b"code=s3cret-query&page=2",
        )

    event = sentry.next_event()
    request = event["request"]
    assert request["method"] == "GET"
    assert request["url"] == "http://[redacted]@shop/shop/v1/products/7"
    assert request["query_string"] == "code=[redacted]&page=[redacted]"
    assert request["headers"]["user-agent"] == "curl"
    assert request.keys() == {"method", "url", "query_string", "headers"}
    assert request["headers"].keys().isdisjoint({"cookie", "x-forwarded-for"})
    shown = json.dumps([request, event["exception"]["values"][-1]["value"], event["tags"]])
    for secret in ("s3cret", "hunter2", "198.51", "192.0.2", "the body"):
        assert secret not in shown


async def test_release_and_environment_come_from_the_environment(
    sentry: SentryReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SENTRY_RELEASE", "shop@7")
    monkeypatch.setenv("SENTRY_ENVIRONMENT", "staging")
    observed = Observability(shop(), settings=only_sentry(sentry))

    async with running(observed):
        await call(observed, "/shop/v1/products/7")

    event = sentry.next_event()
    assert (event["release"], event["environment"]) == ("shop@7", "staging")


async def test_what_the_app_says_to_sentry_itself_belongs_to_its_request(
    sentry: SentryReceiver,
) -> None:
    app = FastAPI()

    @app.get("/odd")
    async def odd() -> None:
        sentry_sdk.set_tag("shelf", "7")
        sentry_sdk.capture_message("https://me:hunter2@shop is odd")

    observed = Observability(app, settings=only_sentry(sentry))
    async with running(observed):
        traceparent = f"00-{TRACE}-{PARENT}-01".encode()
        await call(observed, "/odd", headers=[(b"traceparent", traceparent)])

    event = sentry.next_event()
    assert event["message"] == "https://[redacted]@shop is odd"
    assert event["contexts"]["trace"]["trace_id"] == TRACE
    assert event["tags"]["shelf"] == "7"

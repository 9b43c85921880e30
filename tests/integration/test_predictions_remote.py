"""Models that run on another replica: its answers, its absence, and one trace through both."""

import json
import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from service.demo.ports import free_port
from service.predictions.domain import MODELS
from tests.integration.conftest import World
from tests.integration.predicting import (
    QUESTIONS,
    TEXT_QUESTION,
    answer_to,
    clear_problem,
    refusal_with_a_time,
    sum_of,
    texts_question,
)
from tests.integration.running import RunningService, eventually, running_service, until
from tests.integration.wire import Answer
from tests.middleware.otlp_receiver import OtlpReceiver, http_receiver

pytestmark = [pytest.mark.xdist_group("predictions-remote"), pytest.mark.no_cover]


class Replica:
    """One that can be stopped, and started again where it was."""

    def __init__(self, world: World, **settings: str) -> None:
        ports = {"PORT": str(free_port()), "OPS_PORT": str(free_port())}
        self._folder, self._settings = world.folder, {**world.settings, **settings, **ports}
        self._stack = ExitStack()
        self.start()

    def start(self) -> None:
        """Gives back when it is ready."""
        self.running = self._stack.enter_context(running_service(self._folder, **self._settings))

    def stop(self) -> None:
        """All that it is."""
        self._stack.close()


@pytest.fixture(scope="module")
def receiver() -> Iterator[OtlpReceiver]:
    with http_receiver() as receiving:
        yield receiving


@pytest.fixture(scope="module")
def tracing(receiver: OtlpReceiver) -> dict[str, str]:
    return {
        "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.endpoint,
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
        "OTEL_BSP_SCHEDULE_DELAY": "100",
    }


@pytest.fixture(scope="module")
def far(world: World, tracing: dict[str, str]) -> Iterator[Replica]:
    """Where the models are."""
    replica = Replica(world, **tracing)
    yield replica
    replica.stop()


@pytest.fixture(scope="module")
def module_settings(far: Replica, tracing: dict[str, str]) -> dict[str, str]:
    """Of the service that has them computed there."""
    return {
        **tracing,
        "MODELS__REMOTE_URL": far.running.url,
        "REQUEST_BUDGET_SECONDS": "3",
    }


async def test_without_the_server_of_its_models_it_says_so_until_that_is_back(
    service: RunningService, far: Replica
) -> None:
    far.stop()
    for question in QUESTIONS.values():
        answer = await answer_to(service, question)
        assert answer.status == 503
        assert "server" in refusal_with_a_time(answer)["detail"]

    far.start()

    async def answers() -> bool:
        found = [await answer_to(service, question) for question in QUESTIONS.values()]
        return [answer.status for answer in found] == [200] * len(MODELS)

    await eventually(answers, "it answers again")


async def test_while_that_server_hangs_it_gives_up_in_time(
    service: RunningService, far: Replica
) -> None:
    os.kill(far.running.process.pid, signal.SIGSTOP)
    try:
        answer = await answer_to(service, TEXT_QUESTION)
    finally:
        os.kill(far.running.process.pid, signal.SIGCONT)

    assert answer.status in {503, 504}
    clear_problem(answer)


async def test_its_answers_are_those_of_the_server_and_computed_there(
    service: RunningService, far: Replica
) -> None:
    computed = sum_of(far.running, "ml_computed_rows_total")
    for question in (*QUESTIONS.values(), texts_question(20, return_probabilities=True)):
        here, there = [await answer_to(each, question) for each in (service, far.running)]
        (labels, confidences), (expected, confident) = _said(here), _said(there)
        assert labels == expected
        assert confidences == pytest.approx(confident, abs=0.001)
    assert sum_of(far.running, "ml_computed_rows_total") >= computed + 2 * (len(MODELS) + 20)


async def test_one_trace_leads_from_the_request_to_the_batch_on_the_other_server(
    service: RunningService, receiver: OtlpReceiver
) -> None:
    answer = await answer_to(service, TEXT_QUESTION)
    trace_id, span_id = answer.headers["traceresponse"].split("-")[1:3]

    def spans() -> dict[str, Span]:
        of_trace = [span for span in receiver.spans if span.trace_id.hex() == trace_id]
        return {span.span_id.hex(): span for span in of_trace}

    until(lambda: len(spans()) == 5, "all spans have arrived")
    found = spans()
    asked, *others = _path_to(found, span_id)
    assert asked.name == "POST /predict/sentiment"
    batch, call, asked_there, batch_there = others
    assert batch.name == batch_there.name == "ml.inference sentiment_analysis"
    assert [link.span_id for link in batch.links] == [asked.span_id]
    assert [link.span_id for link in batch_there.links] == [asked_there.span_id]
    assert call.kind == Span.SPAN_KIND_CLIENT
    assert asked_there.kind == Span.SPAN_KIND_SERVER
    for timing in ("queue;dur=", "model;dur="):
        assert timing in answer.headers["server-timing"]


def _said(answer: Answer) -> tuple[list[str], list[float]]:
    """What it says, and how sure it is, of each input."""
    assert answer.status == 200, answer
    body = json.loads(answer.body)
    said = body.get("predictions", [body])
    names = ("prediction", "sentiment", "predicted_class")
    labels = [next(each[name] for name in names if name in each) for each in said]
    return labels, [each["confidence"] for each in said]


def _path_to(spans: dict[str, Span], span_id: str) -> list[Span]:
    """The span, its child, its child's child and so on."""
    path = [spans[span_id]]
    while children := [each for each in spans.values() if each.parent_span_id == path[-1].span_id]:
        path += children
    return path

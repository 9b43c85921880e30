"""What a client of the protocol gets, whatever it sends."""

from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

from middleware import asgi
from service.inference_protocol.codec import JSON_LENGTH_HEADER, Message
from service.inference_protocol.router import MAX_ROWS
from service.predictions.domain import (
    DATATYPES,
    DeadlineExceededError,
    ModelInputError,
    ModelUnavailableError,
    QueueFullError,
)
from service.version import __version__
from tests.middleware.uvicorn_server import hang_up, serving
from tests.service.inference_protocol.echo_models import TIMEOUT_SECONDS, EchoRuntime, app_of
from tests.service.inference_protocol.questions import (
    ARRAYS,
    COUNTS,
    MODEL,
    NUMBERS,
    binary_body,
    binary_question,
    counts,
    numbers,
    question,
)
from tests.service.products.strategies import json_values
from tests.service.serving import Answer, http_scope

JsonChange = tuple[Any, str]

MALFORMED: list[JsonChange] = [
    ([], "body: Input should be a valid dict"),
    ({}, "inputs: Field required"),
    (question() | {"inputs": []}, "inputs: List should have at least 1 item"),
    (question(*[{}] * 100_000), "inputs: List should have at most 64 items"),
    (question(outputs=[{}] * 100_000), "outputs: List should have at most 64 items"),
    (question(id=7), "id: Input should be a valid string"),
    (question(outputs=["scaled"]), "outputs.0"),
    (question(parameters={"timeout": "soon"}), "parameters.timeout"),
    (question(parameters={"timeout": -1}), "parameters.timeout"),
    (question(numbers(name=None), COUNTS), "inputs.0.name: Field required"),
    (question(numbers(shape=[2, -3]), COUNTS), "inputs.0.shape.1"),
    (question(numbers(shape=[0, 3], data=[]), COUNTS), "inputs.0.shape.0"),
    (question(numbers(shape=[2, 3.0]), COUNTS), "inputs.0.shape.1"),
    (question(numbers(shape=[]), COUNTS), "inputs.0.shape"),
    (question(numbers(shape=[1] * 9), COUNTS), "inputs.0.shape"),
    (question(numbers(data="123456"), COUNTS), "inputs.0.data"),
]
NOT_FOR_THE_MODEL: list[JsonChange] = [
    (question(NUMBERS), "Each of these tensors is needed once, and no other: numbers, counts."),
    (question(NUMBERS, COUNTS, COUNTS), "needed once"),
    (question(NUMBERS, counts(name="amounts")), "needed once"),
    (question(numbers(datatype="FP64"), COUNTS), "numbers is FP32, not FP64."),
    (question(numbers(datatype="BF16"), COUNTS), "numbers is FP32, not BF16."),
    (question(numbers(shape=[3, 2]), COUNTS), "numbers has the shape [-1, 3], not [3, 2]."),
    (question(numbers(shape=[6]), COUNTS), "numbers has the shape [-1, 3], not [6]."),
    (question(NUMBERS, counts(shape=[4, 1])), "The first dimension is the batch"),
    (question(numbers(data=[1, 2, 3]), COUNTS), "numbers has data that is not of the shape"),
    (question(numbers(data=None), COUNTS), "needs either `data` or the parameter"),
    (question(numbers(shape=[2**63, 3]), COUNTS), f"A batch may have {MAX_ROWS} rows."),
    (question(outputs=[{"name": "means"}]), "There are the outputs scaled, totals, and no other."),
    (
        question(outputs=[{"name": "scaled", "parameters": {"classification": 2}}]),
        "There is no classification and no shared memory here.",
    ),
]

patient = settings(
    deadline=None,  # the machine has other work, too
    suppress_health_check=[HealthCheck.function_scoped_fixture],  # one client for all examples
)


def asked(client: TestClient, message: Message, path: str = f"{MODEL}/infer") -> Any:
    """The response to a message."""
    return client.post(path, content=message.body, headers=message.headers)


@pytest.mark.parametrize(("content", "error"), MALFORMED + NOT_FOR_THE_MODEL)
def test_a_wrong_request_is_a_400_that_says_what_is_wrong(
    client: TestClient, content: Any, error: str
) -> None:
    response = client.post(f"{MODEL}/infer", json=content)

    assert response.status_code == 400
    assert error in response.json()["error"]


@pytest.mark.parametrize(
    "content", [b"", b"{", b"\xff", b'{"inputs": NaN}', b"[" * 100_000, b'{"id": "\\ud800"}']
)
def test_what_is_not_json_is_a_400(client: TestClient, content: bytes) -> None:
    response = client.post(f"{MODEL}/infer", content=content)

    assert response.status_code == 400
    assert response.json()["error"].startswith("The JSON is not valid: ")


@pytest.mark.parametrize("length", ["-1", "+5", "1_0", "0x10", "", "99999", "9" * 5000, "٣"])
def test_a_wrong_place_of_the_binary_data_is_a_400(client: TestClient, length: str) -> None:
    headers = {JSON_LENGTH_HEADER.encode(): length.encode()}
    response = client.post(f"{MODEL}/infer", content=binary_question().body, headers=headers)

    assert response.status_code == 400
    assert JSON_LENGTH_HEADER in response.json()["error"]


@pytest.mark.parametrize(
    ("size", "binary"), [(24, bytes(23)), (24, bytes(25)), (20, bytes(20)), (2**62, bytes(24))]
)
def test_a_lie_about_binary_data_is_a_400(client: TestClient, size: int, binary: bytes) -> None:
    lying = question(numbers(data=None, parameters={"binary_data_size": size}), COUNTS)
    response = asked(client, binary_body(lying, binary))

    assert response.status_code == 400
    assert "bytes" in response.json()["error"]


def test_a_compressed_body_is_a_415(client: TestClient) -> None:
    headers = {"Content-Encoding": "gzip"}
    response = client.post(f"{MODEL}/infer", content=b"\x1f\x8b", headers=headers)

    assert response.status_code == 415
    assert response.json()["error"] == "A body may not be compressed."


def test_more_rows_than_the_event_loop_can_take_are_refused(client: TestClient) -> None:
    rows = MAX_ROWS + 1
    one = numbers(shape=[rows, 3], data=[0] * 3 * rows)
    other = counts(shape=[rows, 1], data=[0] * rows)

    assert client.post(f"{MODEL}/infer", json=question(one, other)).status_code == 400


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (ModelInputError("No such word."), 400),
        (QueueFullError(7), 429),
        (ModelUnavailableError("It is gone."), 503),
        (DeadlineExceededError("It took too long."), 504),
    ],
)
def test_what_a_model_refuses_has_a_status_that_clients_know(
    client: TestClient, runtime: EchoRuntime, error: Exception, status: int
) -> None:
    runtime.sums.error = error

    response = client.post(f"{MODEL}/infer", json=question())

    assert response.status_code == status
    assert response.json()["error"] == response.json()["detail"] == str(error)
    assert response.headers["content-type"] == "application/problem+json"


def test_a_full_queue_says_when_to_come_back(client: TestClient, runtime: EchoRuntime) -> None:
    runtime.sums.error = QueueFullError(7)

    assert client.post(f"{MODEL}/infer", json=question()).headers["retry-after"] == "7"


@pytest.mark.parametrize("path", ["", "/ready", "/infer"])
@pytest.mark.parametrize(
    ("model", "status"),
    [
        ("nothing", 404),
        ("sums/versions/v9", 404),
        ("sums/versions/1", 404),
        ("absent", 503),
        ("absent/versions/v1.0", 503),
    ],
)
def test_a_model_that_does_not_serve_is_a_404_or_503(
    client: TestClient, model: str, status: int, path: str
) -> None:
    method = "POST" if path == "/infer" else "GET"
    content = orjson.dumps(question()) if path == "/infer" else None
    response = client.request(method, f"/v2/models/{model}{path}", content=content)

    assert response.status_code == status
    assert response.json()["error"]


def test_the_server_is_not_ready_before_every_model_serves(
    client: TestClient, runtime: EchoRuntime
) -> None:
    runtime.not_serving["sums"] = "/srv/models/sums: a flipped byte"

    response = client.get("/v2/health/ready")

    assert response.status_code == 503
    assert response.json()["error"] == "Not every model serves; missing: sums."
    assert client.get("/v2/health/live").status_code == 200


@patient
@given(
    value=json_values,
    member=st.sampled_from(["name", "datatype", "shape", "data", "parameters"]),
    binary=st.binary(max_size=30),
)
def test_whatever_comes_is_answered_or_refused(
    client: TestClient, value: Any, member: str, binary: bytes
) -> None:
    changed = {**NUMBERS, member: value}

    plain = client.post(f"{MODEL}/infer", json=question(changed, COUNTS))
    followed = asked(client, binary_body(question(changed, COUNTS), binary))

    assert {plain.status_code, followed.status_code} <= {200, 400}


@patient
@given(place=st.integers(0, 300), byte=st.integers(0, 255))
def test_a_flipped_byte_is_answered_or_refused(client: TestClient, place: int, byte: int) -> None:
    message = binary_question()
    body = bytearray(message.body)
    body[place % len(body)] = byte

    assert asked(client, Message(bytes(body), message.json_length)).status_code in (200, 400)


def test_a_client_that_hangs_up_frees_its_place(runtime: EchoRuntime) -> None:
    runtime.sums.hangs = True
    body = orjson.dumps(question())
    head = f"POST {MODEL}/infer HTTP/1.1\r\nHost: test\r\nContent-Length: {len(body)}\r\n\r\n"

    with serving(app_of(runtime), "uvloop") as server:
        client = server.ask("/v2/health/live")
        client.sendall(head.encode() + body)
        runtime.sums.started.wait(TIMEOUT_SECONDS)
        hang_up(client)
        assert runtime.sums.cancelled.wait(TIMEOUT_SECONDS)


def test_a_client_may_wait_less_than_the_server_does(
    client: TestClient, runtime: EchoRuntime
) -> None:
    assert client.post(
        f"{MODEL}/infer", json=question(parameters={"timeout": 2_000_000})
    ).is_success

    assert runtime.sums.seconds_given[0] <= 2


async def test_a_client_that_leaves_before_it_has_asked_is_no_error(runtime: EchoRuntime) -> None:
    coming: list[asgi.Message] = [
        {"type": "http.request", "body": b"{", "more_body": True},
        {"type": "http.disconnect"},
    ]
    state = {"runtime": runtime, "request_id": "the-request"}
    scope = {**http_scope("POST"), "path": f"{MODEL}/infer", "state": state}
    answer = Answer()

    async def receive() -> asgi.Message:
        return coming.pop(0)

    await app_of(runtime)(scope, receive, answer.send)

    assert answer.status == 499


@pytest.mark.parametrize("parameters", [None, {}, {"timeout": 0}, {"timeout": 2**62}])
def test_no_client_makes_the_server_wait_longer(
    client: TestClient, runtime: EchoRuntime, parameters: dict[str, int] | None
) -> None:
    assert client.post(f"{MODEL}/infer", json=question(parameters=parameters)).is_success

    assert 2 < runtime.sums.seconds_given[0] <= TIMEOUT_SECONDS


def test_an_answer_in_json(client: TestClient) -> None:
    response = client.post(f"{MODEL}/infer", json=question(id="42"))

    assert response.json() == {
        "model_name": "sums",
        "model_version": "v1.0",
        "id": "42",
        "outputs": [
            {
                "name": "scaled",
                "datatype": "FP32",
                "shape": [2, 3],
                "data": [2.0, 4.0, 6.0, 8.0, 10.0, 13.0],
            },
            {"name": "totals", "datatype": "INT64", "shape": [2], "data": [3, 7]},
        ],
    }
    assert response.headers["server-timing"] == "queue;dur=1.000, model;dur=2.000"


def test_an_answer_without_an_id_when_there_was_none(client: TestClient) -> None:
    assert "id" not in client.post(f"{MODEL}/infer", json=question()).json()


def test_members_of_other_servers_are_passed_over(client: TestClient) -> None:
    asking = question(model_name="x", parameters={"sequence_id": 3, "priority": 1})

    assert client.post(f"{MODEL}/infer", json=asking).is_success


def test_a_binary_answer_follows_its_json(client: TestClient) -> None:
    response = asked(client, binary_question(parameters={"binary_data_output": True}))

    length = int(response.headers[JSON_LENGTH_HEADER])
    outputs = orjson.loads(response.content[:length])["outputs"]
    assert [each["parameters"]["binary_data_size"] for each in outputs] == [24, 16]
    scaled = np.frombuffer(response.content[length:][:24], "<f4").reshape(2, 3)
    assert (scaled == 2 * ARRAYS["numbers"]).all()
    assert np.frombuffer(response.content[length:][24:], "<i8").tolist() == [3, 7]
    assert response.headers["content-type"] == "application/octet-stream"


def test_outputs_come_as_they_were_asked_for(client: TestClient) -> None:
    response = client.post(
        f"{MODEL}/infer",
        json=question(
            parameters={"binary_data_output": True},
            outputs=[{"name": "totals"}, {"name": "scaled", "parameters": {"binary_data": False}}],
        ),
    )

    length = int(response.headers[JSON_LENGTH_HEADER])
    outputs = orjson.loads(response.content[:length])["outputs"]
    assert [each["name"] for each in outputs] == ["totals", "scaled"]
    assert "data" not in outputs[0]
    assert outputs[1]["data"][-1] == 13


def test_a_version_that_is_asked_for_answers(client: TestClient) -> None:
    response = client.post(f"{MODEL}/versions/v1.1/infer", json=question())

    assert response.json()["model_version"] == "v1.1"
    assert response.json()["outputs"][0]["data"][0] == 3


@pytest.mark.parametrize("datatype", DATATYPES)
def test_every_datatype_comes_back(client: TestClient, datatype: str) -> None:
    value = {"name": "value", "datatype": datatype, "shape": [1, 1]}
    data = [True] if datatype == "BOOL" else [1]
    response = client.post(
        f"/v2/models/echo_{datatype.lower()}/infer", json=question({**value, "data": data})
    )

    assert response.json()["outputs"] == [{**value, "data": data}]


def test_who_serves(client: TestClient) -> None:
    assert client.get("/v2").json() == {
        "name": "stallscope",
        "version": __version__,
        "extensions": ["binary_tensor_data"],
    }


@pytest.mark.parametrize("path", ["", "/versions/v1.1"])
def test_what_a_model_takes_and_gives(client: TestClient, path: str) -> None:
    assert client.get(f"{MODEL}{path}").json() == {
        "name": "sums",
        "versions": ["v1.1", "v1.0"],
        "platform": "onnxruntime_onnx",
        "inputs": [
            {"name": "numbers", "datatype": "FP32", "shape": [-1, 3]},
            {"name": "counts", "datatype": "INT64", "shape": [-1, -1]},
        ],
        "outputs": [
            {"name": "scaled", "datatype": "FP32", "shape": [-1, 3]},
            {"name": "totals", "datatype": "INT64", "shape": [-1]},
        ],
    }


def test_everything_is_ready_when_every_model_serves(client: TestClient) -> None:
    assert client.get("/v2/health/live").json() == {"live": True}
    assert client.get("/v2/health/ready").json() == {"ready": True}
    assert client.get(f"{MODEL}/ready").json() == {"name": "sums", "ready": True}
    assert client.get(f"{MODEL}/versions/v1.1/ready").is_success

"""NVIDIA's own client, as it comes from PyPI, speaks with us."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from service.predictions.domain import DATATYPES, QueueFullError
from tests.middleware.uvicorn_server import serving
from tests.service.inference_protocol.echo_models import EchoRuntime, app_of
from tests.service.inference_protocol.questions import ARRAYS

http: Any = pytest.importorskip(
    "tritonclient.http",
    reason="THE STANDARD CLIENT IS NOT TESTED: pip install 'tritonclient[http]'",
    exc_type=ImportError,
)


@pytest.fixture
def url(runtime: EchoRuntime) -> Iterator[str]:
    """A server, on a thread: the client blocks."""
    with serving(app_of(runtime), "uvloop") as server:
        yield f"127.0.0.1:{server.port}"


@pytest.fixture
def triton(url: str) -> Iterator[Any]:
    """The client."""
    with http.InferenceServerClient(url) as client:
        yield client


def inputs(binary: bool = True) -> list[Any]:
    """The arrays, as the client wants them."""
    wanted = []
    for name, datatype in (("numbers", "FP32"), ("counts", "INT64")):
        each = http.InferInput(name, list(ARRAYS[name].shape), datatype)
        wanted.append(each.set_data_from_numpy(ARRAYS[name], binary_data=binary))
    return wanted


def test_it_reads_why_it_was_refused(triton: Any) -> None:
    with pytest.raises(http.InferenceServerException) as caught:
        triton.infer("sums", inputs()[:1])

    assert caught.value.status() == "400"
    assert caught.value.message().startswith("Each of these tensors is needed once")


def test_it_reads_that_there_is_no_such_model(triton: Any) -> None:
    with pytest.raises(http.InferenceServerException) as caught:
        triton.infer("nothing", inputs())

    assert caught.value.status() == "404"
    assert caught.value.message().startswith("There is no nothing")


def test_it_reads_that_the_queue_is_full(triton: Any, runtime: EchoRuntime) -> None:
    runtime.sums.error = QueueFullError(1)

    with pytest.raises(http.InferenceServerException, match="more work than it can do"):
        triton.infer("sums", inputs())


def test_it_learns_what_does_not_serve(triton: Any, runtime: EchoRuntime) -> None:
    runtime.not_serving["sums"] = "a flipped byte"

    assert triton.is_server_live()
    assert not triton.is_server_ready()
    assert not triton.is_model_ready("absent")
    assert not triton.is_model_ready("sums", "v9")


def test_it_learns_what_serves(triton: Any) -> None:
    assert triton.is_server_ready()
    assert triton.is_model_ready("sums")
    assert triton.is_model_ready("sums", "v1.1")


def test_it_learns_who_serves_and_what_a_model_takes(triton: Any) -> None:
    assert triton.get_server_metadata()["extensions"] == ["binary_tensor_data"]
    metadata = triton.get_model_metadata("sums", "v1.1")
    assert metadata["versions"] == ["v1.1", "v1.0"]
    assert metadata["inputs"][0] == {"name": "numbers", "datatype": "FP32", "shape": [-1, 3]}


@pytest.mark.parametrize("asks_in_binary", [True, False])
@pytest.mark.parametrize("answered_in_binary", [True, False])
def test_it_asks_and_is_answered_in_json_or_binary(
    triton: Any, asks_in_binary: bool, answered_in_binary: bool
) -> None:
    outputs = [
        http.InferRequestedOutput(name, binary_data=answered_in_binary)
        for name in ("totals", "scaled")
    ]

    result = triton.infer("sums", inputs(asks_in_binary), request_id="42", outputs=outputs)

    np.testing.assert_array_equal(result.as_numpy("scaled"), 2 * ARRAYS["numbers"])
    np.testing.assert_array_equal(result.as_numpy("totals"), [3, 7])
    assert result.get_response()["id"] == "42"


def test_without_a_wish_it_gets_all_outputs_in_binary(triton: Any) -> None:
    result = triton.infer("sums", inputs(), model_version="v1.1")

    np.testing.assert_array_equal(result.as_numpy("scaled"), 3 * ARRAYS["numbers"])
    assert result.get_response()["model_version"] == "v1.1"
    assert "data" not in result.get_output("totals")


@pytest.mark.parametrize("datatype", DATATYPES)
def test_every_datatype_goes_there_and_back(triton: Any, datatype: str) -> None:
    sent = np.array([[0, 1], [1, 0]], dtype=DATATYPES[datatype])
    value = http.InferInput("value", [2, 2], datatype).set_data_from_numpy(sent)

    answer = triton.infer(f"echo_{datatype.lower()}", [value]).as_numpy("value")

    assert answer.dtype == sent.dtype
    np.testing.assert_array_equal(answer, sent)


def test_it_says_how_long_it_waits(triton: Any, runtime: EchoRuntime) -> None:
    triton.infer("sums", inputs(), timeout=2_000_000)

    assert runtime.sums.seconds_given[0] <= 2


def test_a_compressed_request_is_refused(triton: Any) -> None:
    with pytest.raises(http.InferenceServerException, match="may not be compressed"):
        triton.infer("sums", inputs(), request_compression_algorithm="gzip")


def test_many_requests_at_once_get_their_own_answers(url: str) -> None:
    with http.InferenceServerClient(url, concurrency=4) as client:
        asked = [client.async_infer("sums", inputs(), request_id=str(n)) for n in range(1, 17)]
        ids = [each.get_result().get_response()["id"] for each in asked]

    assert ids == [str(n) for n in range(1, 17)]

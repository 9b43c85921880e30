"""Inference inside `async def`: named, though nearly all of its time is spent in C."""

import math
from importlib.util import find_spec

import pytest

from .seeing import until_seen
from .serving import RunningApp

NEEDED = ("numpy", "onnx", "onnxruntime", "tokenizers")
MISSING = [each for each in NEEDED if find_spec(each) is None]

pytestmark = [
    pytest.mark.no_cover,
    pytest.mark.xdist_group("stalls-computing"),
    pytest.mark.skipif(bool(MISSING), reason=f"inference is NOT TESTED: no {MISSING} here"),
]

SECONDS = 0.4


@pytest.fixture(scope="module")
def module_settings() -> dict[str, str]:
    return {"SCENARIO_MODEL": "1"}


def test_a_model_that_runs_on_the_loop_is_named(app: RunningApp) -> None:
    texts = math.ceil(SECONDS / app.get("/model/load").json())

    seen = until_seen(app, f"/model/predict?texts={texts}", "cpu", "model")

    assert seen.stall["route"] == "/model/predict"
    assert seen.stall["trace_id"] == seen.answered.trace_id
    assert seen.stall["culprit"]["source_line"].startswith("[scores] = session().run(")

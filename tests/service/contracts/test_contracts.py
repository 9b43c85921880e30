"""What clients are promised: a package that costs them pydantic, and answers that keep to it."""

import importlib.metadata
import json
import re
import subprocess
import sys
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

import service.contracts
from service.app import create_app
from service.contracts import EnrichedProduct, Price, Review
from service.products.domain import FACTUAL, Facts, Inventory, Reason, Report, Source, Status
from service.products.representation import JsonRepresentation, answer_body
from tests.fakes import FakeWorld, fake_settings, known_facts, open_fake_adapters
from tests.service.products.strategies import facts

MODELS: list[type[BaseModel]] = [
    getattr(service.contracts, name) for name in service.contracts.__all__
]

NEW_MODULES = """
import json, sys
before = set(sys.modules)
import service.contracts
print(json.dumps(sorted({name.partition(".")[0] for name in set(sys.modules) - before})))
"""

reports = st.fixed_dictionaries({
    source: st.builds(
        Report, st.sampled_from(Status), st.none() | st.sampled_from(Reason), st.floats(0, 1e6)
    )
    for source in FACTUAL
})  # fmt: skip


ALWAYS = EnrichedProduct.model_fields.keys() - {"review_sentiment"}  # that has to be asked for


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    app = create_app(fake_settings(), open_adapters=open_fake_adapters(FakeWorld()))
    return app.openapi()


@pytest.mark.parametrize("name", sorted(ALWAYS))
def test_an_answer_that_lacks_anything_is_not_what_was_promised(name: str) -> None:
    answer = json.loads(an_answer(known_facts()))
    del answer[name]

    with pytest.raises(ValidationError):
        EnrichedProduct.model_validate(answer)


@pytest.mark.parametrize(("model", "name", "wrong"), [
    (Price, "amount", "-0.01"),
    (Price, "currency", "euro"),
    (Review, "rating", 6),
    (EnrichedProduct, "rating", 5.1),
    (EnrichedProduct, "id", 0),
    (EnrichedProduct, "sources", {"weather": {}}),
])  # fmt: skip
def test_what_cannot_be_is_refused(model: type[BaseModel], name: str, wrong: object) -> None:
    with pytest.raises(ValidationError, match=name):
        model.model_validate({name: wrong})


def test_a_client_pays_for_pydantic_and_nothing_else() -> None:
    command = [sys.executable, "-c", NEW_MODULES]
    imported = set(json.loads(subprocess.check_output(command, env={}, timeout=60)))

    third_party = imported & importlib.metadata.packages_distributions().keys() - {"service"}

    assert third_party <= {"pydantic"} | modules_required_by("pydantic")
    assert "pydantic" in third_party


def test_the_examples_in_the_document_are_what_the_contracts_accept(
    document: dict[str, Any],
) -> None:
    tried = 0
    for model in MODELS:
        properties = document["components"]["schemas"].get(model.__name__, {}).get("properties", {})
        for name, schema in properties.items():
            for example in schema.get("examples", []):
                accept(model, name, example)
                tried += 1

    assert tried >= 8


def test_the_examples_of_parameters_are_answered(document: dict[str, Any]) -> None:
    (operation,) = document["paths"]["/v1/product/{product_id}/enriched"].values()
    parameter, include = operation["parameters"]

    assert (parameter["name"], include["name"]) == ("product_id", "include")
    assert TypeAdapter(int).validate_python(parameter["schema"]["examples"][0]) >= 1


def test_every_contract_is_in_the_document(document: dict[str, Any]) -> None:
    not_on_the_wire_by_themselves = {"ProductFacts"}

    missing = {model.__name__ for model in MODELS} - document["components"]["schemas"].keys()

    assert missing == not_on_the_wire_by_themselves


def test_only_the_paths_under_v1_and_those_of_the_protocol_are_documented(
    document: dict[str, Any],
) -> None:
    ours = {path for path in document["paths"] if not path.startswith("/v2")}

    assert ours == {
        "/v1/product/{product_id}/enriched",
        "/v1/predict",
        "/v1/predict/sentiment",
        "/v1/predict/image",
        "/v1/models/status",
        "/v1/health",
    }


@given(facts(), reports, st.floats(0, 1e6))
def test_every_rendered_answer_keeps_the_contract_and_loses_nothing(
    known: Facts, became: dict[Source, Report], processing_ms: float
) -> None:
    body = answer_body(JsonRepresentation().encode(known), became, processing_ms)

    product = EnrichedProduct.model_validate_json(body)

    assert_same_product(product, known)
    assert_same_reviews(product, known)
    assert_same_inventory(product, known)
    assert product.processing_time_ms == pytest.approx(processing_ms, abs=0.001)
    for source, report in became.items():
        told = product.sources[source.value]
        assert (told.status, told.reason) == (report.status, report.reason)
        assert told.latency_ms == pytest.approx(report.latency_ms, abs=0.001)


@given(facts())
def test_a_rendered_answer_is_one_json_object_without_a_member_said_twice(known: Facts) -> None:
    def once(members: list[tuple[str, Any]]) -> dict[str, Any]:
        assert len(dict(members)) == len(members)
        return dict(members)

    answer = json.loads(an_answer(known), object_pairs_hook=once)

    assert set(answer) == ALWAYS
    assert list(answer["sources"]) == [source.value for source in FACTUAL]


@given(facts())
def test_moments_on_the_wire_are_those_of_rfc_3339(known: Facts) -> None:
    answer = json.loads(an_answer(known))

    moment = answer["updated_at"]

    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)", moment)
    assert datetime.fromisoformat(moment) == known.product.value.updated_at


def an_answer(known: Facts) -> bytes:
    live = {source: Report(Status.LIVE) for source in FACTUAL}
    return answer_body(JsonRepresentation().encode(known), live, 1.5)


def accept(model: type[BaseModel], name: str, example: object) -> None:
    """Fails when the field does not take the example; the other fields may miss."""
    faults: list[ErrorDetails] = []
    try:
        model.model_validate_json(json.dumps({name: example}))
    except ValidationError as error:
        faults = error.errors()
    assert [fault for fault in faults if fault["loc"][0] == name] == []


def assert_same_product(told: EnrichedProduct, known: Facts) -> None:
    row = known.product.value
    assert (told.price.amount, told.price.currency) == (row.price.amount, row.price.currency)
    for name in (
        "id",
        "sku",
        "name",
        "description",
        "category",
        "brand",
        "rating",
        "attributes",
        "created_at",
        "updated_at",
    ):
        assert getattr(told, name) == getattr(row, name)


def assert_same_reviews(told: EnrichedProduct, known: Facts) -> None:
    opinions = known.reviews.value if known.reviews else ()
    for review, opinion in zip(told.reviews, opinions, strict=True):
        for name in Review.model_fields:
            assert getattr(review, name) == getattr(opinion, name)


def assert_same_inventory(told: EnrichedProduct, known: Facts) -> None:
    stock: Inventory | None = known.inventory.value if known.inventory else None
    if stock is None:
        assert told.inventory == {}
        return
    assert isinstance(told.inventory, service.contracts.Inventory)
    assert (told.inventory.in_stock, told.inventory.quantity) == (stock.in_stock, stock.quantity)
    held = [(warehouse.code, warehouse.quantity) for warehouse in told.inventory.warehouses]
    assert held == [(warehouse.code, warehouse.quantity) for warehouse in stock.warehouses]
    assert told.inventory.updated_at == stock.updated_at


def modules_required_by(distribution: str) -> set[str]:
    requirements = importlib.metadata.requires(distribution) or []
    names = (re.match(r"[\w.-]+", each) for each in requirements if "extra" not in each)
    return {name.group().replace("-", "_") for name in names if name}

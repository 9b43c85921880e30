"""Products as JSON: nothing is lost on the way there and back, whatever is in them."""

import json

import pytest
from hypothesis import given

from service.products.domain import FACTUAL, Facts, FetchTimes, Reason, Report, Source, Status
from service.products.representation import JsonRepresentation, answer_body, entity_tag
from tests.fakes import known_facts
from tests.service.products.strategies import facts

LIVE = {source: Report(Status.LIVE) for source in FACTUAL}

codec = JsonRepresentation()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"[]",
        b"null",
        b"\x00\xff",
        b'{"reviews":[],"inventory":{}}',
        codec.encode(known_facts())[:-1],
        codec.encode(known_facts()).replace(b'"rating":4.3', b'"rating":"much"'),
        codec.encode(known_facts()).replace(b'"reviews":[', b'"opinions":['),
        codec.encode(known_facts()).replace(b'"id":31', b'"id":"x"'),
    ],
)
def test_what_is_not_a_product_is_refused_with_a_value_error(body: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - pydantic's are ValueErrors; which, is its affair
        codec.decode(body, FetchTimes(1.0, 1.0, 1.0))


@given(facts())
def test_decoding_gives_back_what_was_encoded(known: Facts) -> None:
    assert codec.decode(codec.encode(known), known.fetched_at()) == known


def test_a_part_that_was_never_fetched_stays_unknown_however_empty_it_looks() -> None:
    known = known_facts()
    body = codec.encode(Facts(known.product, None, None))

    decoded = codec.decode(body, FetchTimes(known.product.fetched_at, None, None))

    assert (decoded.reviews, decoded.inventory) == (None, None)
    assert json.loads(body)["reviews"] == []
    assert json.loads(body)["inventory"] == {}


def test_a_price_is_a_decimal_string_never_a_binary_float() -> None:
    assert json.loads(codec.encode(known_facts()))["price"]["amount"] == "129.90"


def test_an_answer_says_what_became_of_each_source() -> None:
    reports = LIVE | {Source.REVIEWS: Report(Status.STALE, Reason.CIRCUIT_OPEN, 0.1239)}

    answer = json.loads(answer_body(codec.encode(known_facts()), reports, 12.3456))

    assert list(answer["sources"]) == ["product", "reviews", "inventory"]
    assert answer["sources"]["product"] == {"status": "live", "reason": None, "latency_ms": 0.0}
    stale = {"status": "stale", "reason": "circuit_open", "latency_ms": 0.124}
    assert answer["sources"]["reviews"] == stale
    assert answer["processing_time_ms"] == 12.346


@given(facts(), facts())
def test_entity_tags_are_equal_just_for_equal_facts(one: Facts, other: Facts) -> None:
    bodies = codec.encode(one), codec.encode(other)

    tags = [entity_tag(body, LIVE) for body in bodies]

    assert (tags[0] == tags[1]) == (bodies[0] == bodies[1])


def test_entity_tags_tell_nothing_to_say_from_nothing_known() -> None:
    body = codec.encode(known_facts(reviews=()))
    gone = Report(Status.UNAVAILABLE, Reason.TIMEOUT)
    failures: list[dict[Source, Report]] = [
        {},
        {Source.REVIEWS: gone},
        {Source.INVENTORY: gone},
        {Source.REVIEWS: gone, Source.INVENTORY: gone},
    ]

    tags = {entity_tag(body, LIVE | failed) for failed in failures}

    assert len(tags) == len(failures)


def test_entity_tags_do_not_depend_on_how_long_it_took() -> None:
    body = codec.encode(known_facts())
    slow = {source: Report(Status.CACHED, latency_ms=900.0) for source in FACTUAL}

    assert entity_tag(body, LIVE) == entity_tag(body, slow)

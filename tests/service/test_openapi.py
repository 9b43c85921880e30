"""The document says what the service does, and its pages need no internet."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from service.contracts import EnrichedProduct, Health, Problem
from tests.fakes import FakeWorld
from tests.service.serving import PRODUCT, UNKNOWN, app_of, client_of

COMMITTED = Path(__file__).parents[2] / "openapi.json"
LOADED = re.compile(r"""(?:src|href)\s*=\s*["']([^"']+)["']""")


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    document: dict[str, Any] = json.loads(COMMITTED.read_text())
    return document


def test_the_committed_document_is_the_one_that_the_command_prints() -> None:
    command = [sys.executable, "-m", "service", "openapi"]
    hostile = {"API_KEYS": "0" * 64, "RATE_LIMIT": "1/hour", "PORT": "1"}

    printed = subprocess.run(command, capture_output=True, text=True, check=True, env=hostile)

    assert printed.stdout == COMMITTED.read_text()


@pytest.mark.parametrize("path", ["/openapi.json", "/v1/openapi.json"])
def test_the_service_serves_the_committed_document(path: str, document: dict[str, Any]) -> None:
    with client_of(app_of()) as client:
        assert client.get(path).json() == document


def test_the_document_is_made_once() -> None:
    app = app_of()

    assert app.openapi() is app.openapi()


@pytest.mark.parametrize("page", ["/docs", "/redoc", "/v1/docs", "/v1/redoc"])
def test_a_page_loads_nothing_from_elsewhere(page: str) -> None:
    with client_of(app_of()) as client:
        response = client.get(page)

    assert response.status_code == 200
    assert not [url for url in LOADED.findall(response.text) if not url.startswith("/")]
    assert not re.search(r"https?://|(?:src|href|url)\s*[=:]\s*.//", response.text)


@pytest.mark.parametrize("page", ["/docs", "/redoc", "/v1/docs", "/v1/redoc"])
def test_all_that_a_page_refers_to_is_served(page: str) -> None:
    with client_of(app_of()) as client:
        text = client.get(page).text
        document = re.search(r"""(?:url: |spec-url=)["']([^"']+)["']""", text)
        assert document
        referred = [document[1], *LOADED.findall(text)]
        answers = {path: client.get(path) for path in referred}

    assert len(answers) >= 3
    for path, answer in answers.items():
        assert answer.status_code == 200, path
        assert answer.content
    assert document[1].startswith(page.rpartition("/")[0] + "/openapi.json")


@pytest.mark.parametrize("page", ["/docs", "/redoc"])
def test_a_browser_may_load_only_what_the_service_has(page: str) -> None:
    with client_of(app_of()) as client:
        policy = client.get(page).headers["content-security-policy"]

    assert "default-src 'none'" in policy
    assert "http" not in policy
    assert "*" not in policy


def test_every_documented_example_fits_its_schema(document: dict[str, Any]) -> None:
    examples = list(_examples(document))

    assert len(examples) > 5
    for schema, example in examples:
        jsonschema_rs.validate({**schema, "components": document["components"]}, example)


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    references = [node["$ref"] for node in _objects(document) if "$ref" in node]

    assert references
    for reference in references:
        place: Any = document
        for step in reference.removeprefix("#/").split("/"):
            place = place[step]


def test_operations_have_ids_of_their_own(document: dict[str, Any]) -> None:
    ids = [node["operationId"] for node in _objects(document) if "operationId" in node]

    assert len(ids) == len(set(ids)) > 0


def test_what_the_service_answers_is_what_the_document_says(document: dict[str, Any]) -> None:
    operation = document["paths"]["/v1/product/{product_id}/enriched"]["get"]
    with client_of(app_of(FakeWorld())) as client:
        for path, status in ((PRODUCT, "200"), (UNKNOWN, "404"), ("/v1/product/x/enriched", "422")):
            response = client.get(path)

            ((media_type, content),) = operation["responses"][status]["content"].items()
            assert response.headers["content-type"] == media_type
            schema = {**content["schema"], "components": document["components"]}
            jsonschema_rs.validate(schema, response.json())


def test_clients_can_read_every_answer_with_the_contracts() -> None:
    with client_of(app_of()) as client:
        EnrichedProduct.model_validate_json(client.get(PRODUCT).content)
        Health.model_validate_json(client.get("/health").content)
        Problem.model_validate_json(client.get(UNKNOWN).content)


def test_an_open_service_documents_no_key(document: dict[str, Any]) -> None:
    assert "securitySchemes" not in document["components"]


def test_a_guarded_service_documents_its_key() -> None:
    document = app_of(api_keys=frozenset({"0" * 64})).openapi()

    ((name, scheme),) = document["components"]["securitySchemes"].items()
    assert (scheme["type"], scheme["in"], scheme["name"]) == ("apiKey", "header", "X-API-Key")
    paths = document["paths"]
    assert paths["/v1/product/{product_id}/enriched"]["get"]["security"] == [{name: []}]
    assert "security" not in paths["/v1/health"]["get"]
    assert "0" * 64 not in json.dumps(document)


def _objects(node: Any) -> Iterator[dict[str, Any]]:
    if isinstance(node, dict):
        yield node
    for child in (
        node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    ):
        yield from _objects(child)


def _examples(document: dict[str, Any]) -> Iterator[tuple[dict[str, Any], Any]]:
    for node in _objects(document):
        if "in" in node and "schema" in node:  # a parameter
            schema = node["schema"]
            named = [each["value"] for each in node.get("examples", {}).values()]
            single = [node["example"]] if "example" in node else []
        elif isinstance(node.get("examples"), list):
            schema, named, single = node, node["examples"], []
        else:
            continue
        for example in (*named, *single):
            yield {key: value for key, value in schema.items() if key != "examples"}, example

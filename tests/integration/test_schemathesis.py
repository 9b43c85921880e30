"""Attacks that nobody thought of: from the service's own document, and at random."""

import asyncio
import hashlib
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.conftest import World
from tests.integration.running import RunningService, running_service
from tests.integration.wire import Answer, Wire, connected, request

pytestmark = [pytest.mark.xdist_group("schemathesis"), pytest.mark.no_cover]

ATTACKS = 10_000
ATTACKERS = 16
KEY = "attacker"


@pytest.fixture(scope="module")
def guarded_service(world: World) -> Iterator[RunningService]:
    digest = hashlib.sha256(KEY.encode()).hexdigest()
    with running_service(world.folder, **world.settings, API_KEYS=digest) as running:
        yield running


def _schemathesis(service: RunningService, folder: Path, *options: str, examples: int = 60) -> str:
    """What schemathesis found, with all its checks; fails when that is anything."""
    # Not every file is a picture, which a schema cannot say: hostile ones have tests of their own.
    unsaid = ["--exclude-path-regex", "/predict/image"]
    bounds = [
        "--max-examples",
        str(examples),
        "--seed",
        "1",
        "--generation-database",
        "none",
        *unsaid,
    ]
    program = Path(sys.executable).with_name("st")
    ended = subprocess.run(
        [program, "run", f"{service.url}/openapi.json", "--checks", "all", *bounds, *options],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout[-10_000:] + ended.stderr[-2000:]
    return ended.stdout


def test_schemathesis_finds_nothing(service: RunningService, tmp_path: Path) -> None:
    _schemathesis(service, tmp_path)

    _assert_healthy(service)


def test_schemathesis_finds_nothing_where_a_key_is_needed(
    guarded_service: RunningService, tmp_path: Path
) -> None:
    # What lies behind the key is what the other one has attacked.
    _schemathesis(guarded_service, tmp_path, "--header", f"X-API-Key: {KEY}", examples=5)

    _assert_healthy(guarded_service)


async def test_thousands_of_random_requests_get_proper_answers(service: RunningService) -> None:
    statuses: Counter[int | None] = Counter()

    async def attack(seed: int) -> None:
        dice = random.Random(seed)
        left = ATTACKS // 2 // ATTACKERS
        while left > 0:
            async with connected(service.port) as wire:
                left -= await _until_closed(wire, dice, left, statuses)

    async with asyncio.timeout(100), asyncio.TaskGroup() as group:
        for seed in range(ATTACKERS):
            group.create_task(attack(seed))

    assert statuses.total() >= ATTACKS // 2 - ATTACKERS
    assert {status // 100 for status in statuses if status} == {2, 3, 4}
    _assert_healthy(service)


async def test_thousands_of_random_bytes_get_proper_answers_or_none(
    service: RunningService,
) -> None:
    statuses: Counter[int | None] = Counter()

    async def attack(seed: int) -> None:
        dice = random.Random(seed)
        for _ in range(ATTACKS // 2 // ATTACKERS):
            async with connected(service.port) as wire:
                await wire.send(_noise(dice))
                wire.writer.write_eof()
                statuses[_status_of(await _answer(wire))] += 1

    async with asyncio.timeout(100), asyncio.TaskGroup() as group:
        for seed in range(ATTACKERS):
            group.create_task(attack(seed))

    assert statuses[400] > ATTACKS // 10
    assert {status // 100 for status in statuses if status} <= {2, 3, 4}
    _assert_healthy(service)


async def _until_closed(
    wire: Wire, dice: random.Random, limit: int, statuses: Counter[int | None]
) -> int:
    """Attack until the server closes the connection; gives the number of attacks."""
    for number in range(limit):
        method = dice.choice(METHODS)
        try:
            await wire.send(_request(dice, method))
        except ConnectionError:
            return max(number, 1)
        answer = await _answer(wire, head=method == "HEAD")
        statuses[_status_of(answer)] += 1
        if answer is None or answer.closes:
            return number + 1
    return limit


async def _answer(wire: Wire, *, head: bool = False) -> Answer | None:
    try:
        return await wire.answer(head=head)
    except ConnectionResetError:  # it closed while we were still sending
        return None


def _status_of(answer: Answer | None) -> int | None:
    if answer is None:
        return None
    if answer.status >= 400 and answer.body:
        answer.problem()
    return answer.status


METHODS = ("GET", "GET", "GET", "HEAD", "POST", "PUT", "OPTIONS", "DELETE", "TRACE", "PATCH")
PATHS = (
    "/health", "/health/", "/product/{}/enriched", "/v1/product/{}/enriched", "/{}",
    "/docs-assets/{}",
)  # fmt: skip
NAMES = (
    "Accept", "Accept-Encoding", "If-None-Match", "X-Request-ID", "traceparent", "X-API-Key",
    "Content-Type", "Expect", "Range", "Cookie", "X-Forwarded-For", "X-Odd",
)  # fmt: skip


def _request(dice: random.Random, method: str) -> bytes:
    """Well-formed as HTTP, arbitrary in everything else."""
    path = dice.choice(PATHS).format(_path_part(dice))
    headers = [
        f"{dice.choice(NAMES)}: {_visible(dice, dice.randrange(60))}"
        for _ in range(dice.randrange(5))
    ]
    body = dice.randbytes(dice.randrange(200)) if dice.random() < 0.5 else b""
    if body and dice.random() < 0.5:
        headers.append("Transfer-Encoding: chunked")
        body = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
    else:
        headers.append(f"Content-Length: {len(body)}")
    return request(path, *headers, method=method) + body


def _path_part(dice: random.Random) -> str:
    kind = dice.randrange(3)
    if kind == 0:
        return str(dice.choice([0, -1, 1, 5, 10_000, 10_001, 2**63 - 1, 2**63, 10**40]))
    if kind == 1:
        return "".join(f"%{byte:02x}" for byte in dice.randbytes(dice.randrange(1, 20)))
    return _visible(dice, dice.randrange(1, 40)).replace(" ", "")


def _visible(dice: random.Random, length: int) -> str:
    return "".join(chr(dice.randrange(0x21, 0x7F)) for _ in range(length))


def _noise(dice: random.Random) -> bytes:
    kind = dice.randrange(4)
    if kind == 0:
        return dice.randbytes(dice.randrange(1, 300))
    sent = bytearray(_request(dice, dice.choice(("GET", "POST", "OPTIONS"))))
    for _ in range(dice.randrange(1, 6)):
        place = dice.randrange(len(sent))
        if kind == 1:
            sent[place] = dice.randrange(256)
        elif kind == 2:
            del sent[place : place + dice.randrange(1, 5)]
        else:
            sent[place:place] = dice.randbytes(dice.randrange(1, 5))
    return bytes(sent) or b"\x00"


def _assert_healthy(service: RunningService) -> None:
    assert service.readiness()[0] == 200
    assert "Traceback" not in service.log()

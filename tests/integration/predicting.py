"""What clients ask models, how they ask, and what the service says of itself meanwhile."""

import asyncio
import io
import json
import os
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFilter
from prometheus_client.samples import Sample

from service.predictions.domain import IMAGE, SENTIMENT, TABULAR
from tests.exposition import samples_in
from tests.integration.running import RunningService, eventually
from tests.integration.wire import Answer, Wire, connected, request

# A few seconds by default; 30 and more when it is to be known for sure.
SECONDS = float(os.environ.get("PREDICTION_TEST_SECONDS", "3"))

FEATURES = [14.2, 19.1, 92.3, 640.1, 0.097, 0.106, 0.091, 0.05, 0.181, 0.0628]
TEXT = "the kettle boils quickly, and i love its sound, but the lid is loose and far too hot"
WORDS = TEXT.split()

MOST_PROBLEM_BYTES = 16 * 1024

# What is none of a client's business.
_INSIDES = re.compile(
    r"/(home|usr|work|tmp|app|opt)\b|\.py\b|Traceback|0x[0-9a-f]{6}|Errno"
    r"|\b(PIL|Pillow|libpng|numpy|onnx|onnxruntime|pydantic|fastapi|starlette|tokenizers|orjson)\b"
    r"|\w(Error|Exception)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Question:
    """A request with a body."""

    path: str
    body: bytes
    kind: str = "application/json"

    @classmethod
    def of(cls, path: str, **members: object) -> "Question":
        """One in JSON."""
        return cls(path, json.dumps(members).encode())

    @property
    def sent(self) -> bytes:
        """As it goes over the wire."""
        headers = (f"Content-Type: {self.kind}", f"Content-Length: {len(self.body)}")
        return request(self.path, *headers, method="POST") + self.body


def text_of(words: int, number: int = 0) -> str:
    """A text of so many words; another for each number."""
    return " ".join([*WORDS[number % len(WORDS) :], *WORDS * (words // len(WORDS) + 1)][:words])


def texts_question(texts: int, words: int = 12, **members: object) -> Question:
    """So many texts at once."""
    asked = [text_of(words, number) for number in range(texts)]
    return Question.of("/predict/sentiment", texts=asked, **members)


def upload(picture: bytes, name: str = "photo.png", kind: str = "image/png") -> Question:
    """A file in a form."""
    boundary = "c0ffee-c0ffee"
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n'
    head += f"Content-Type: {kind}\r\n\r\n"
    body = head.encode() + picture + f"\r\n--{boundary}--\r\n".encode()
    return Question("/predict/image", body, f"multipart/form-data; boundary={boundary}")


def photo(format_name: str = "PNG", side: int = 120, **options: Any) -> bytes:
    """A drawn shirt in front of a light wall, as a file."""
    picture = Image.new("RGB", (side, side), (235, 236, 240))
    scaled = [
        (int(x * side), int(y * side))
        for x, y in (
            *((0.35, 0.15), (0.65, 0.15), (0.9, 0.35), (0.78, 0.45), (0.7, 0.4)),
            *((0.7, 0.9), (0.3, 0.9), (0.3, 0.4), (0.22, 0.45), (0.1, 0.35)),
        )
    ]
    ImageDraw.Draw(picture).polygon(scaled, fill=(40, 70, 130))
    file = io.BytesIO()
    picture.filter(ImageFilter.GaussianBlur(1)).save(file, format_name, **options)
    return file.getvalue()


TABULAR_QUESTION = Question.of("/predict", features=FEATURES)
TEXT_QUESTION = texts_question(1)
IMAGE_QUESTION = upload(photo())
QUESTIONS: Mapping[str, Question] = {
    TABULAR: TABULAR_QUESTION,
    SENTIMENT: TEXT_QUESTION,
    IMAGE: IMAGE_QUESTION,
}


async def asked(wire: Wire, question: Question) -> Answer:
    """The answer over a connection that is there."""
    await wire.send(question.sent)
    answer = await wire.answer()
    assert answer is not None
    return answer


async def answer_to(service: RunningService, question: Question) -> Answer:
    """The answer over a connection of its own."""
    async with connected(service.port) as wire:
        return await asked(wire, question)


def clear_problem(answer: Answer) -> dict[str, Any]:
    """A problem that says shortly what is wrong, and nothing of what is inside the service."""
    problem = answer.problem()
    assert len(answer.body) < MOST_PROBLEM_BYTES
    assert len(problem["detail"]) > 10, problem
    assert not _INSIDES.search(json.dumps(problem)), problem
    return problem


def refusal_with_a_time(answer: Answer) -> dict[str, Any]:
    """The same, which says when to come again."""
    assert int(answer.headers["retry-after"]) >= 1
    return clear_problem(answer)


class Load:
    """Customers in a closed loop, each with a question."""

    def __init__(self, service: RunningService) -> None:
        self.service = service
        self.answered = 0
        self.failed: list[str] = []
        self.is_over = False

    async def keep_asking(self, question: Question) -> None:
        """Until it is over."""
        async with connected(self.service.port) as wire:
            while not self.is_over:
                answer = await asked(wire, question)
                if answer.status == 200:
                    self.answered += 1
                else:
                    self.failed.append(f"{question.path}: {answer}")

    async def goes_on(self, answers: int = 10) -> None:
        """Return when so many more have been answered."""
        wanted = self.answered + answers

        async def have() -> bool:
            return self.answered >= wanted

        await eventually(have, f"{answers} more answers")


@asynccontextmanager
async def under_load(service: RunningService, *questions: Question) -> AsyncIterator[Load]:
    """A customer for each question, none of whom may be failed; they wait for their last answer."""
    load = Load(service)
    async with asyncio.TaskGroup() as group:
        for question in questions:
            group.create_task(load.keep_asking(question))
        await load.goes_on()
        yield load
        await load.goes_on()
        load.is_over = True
    assert load.failed == []


def samples(service: RunningService, name: str, **labels: str) -> list[Sample]:
    """All series of a metric that have these labels."""
    return samples_in(service.ops("/metrics")[1], name, **labels)


def sum_of(service: RunningService, name: str, **labels: str) -> float:
    """The same, added up."""
    return sum(sample.value for sample in samples(service, name, **labels))


def model_fault(service: RunningService) -> str | None:
    """Why the models keep it from being ready."""
    reason: str | None = service.readiness()[1]["checks"]["models"]["reason"]
    return reason


def megabytes(service: RunningService, field: str) -> float:
    """VmRSS, what it has now, or VmHWM, the most that it had."""
    status = Path(f"/proc/{service.process.pid}/status").read_text()
    (kib,) = re.findall(rf"^{field}:\s+(\d+) kB$", status, re.MULTILINE)
    return int(kib) * 1024 / 1e6


def forget_peak(service: RunningService) -> None:
    """Have VmHWM begin anew at what it has now."""
    Path(f"/proc/{service.process.pid}/clear_refs").write_text("5")

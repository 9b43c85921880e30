"""People who use the service: they come, whatever becomes of it, until told to leave."""

import threading
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count

from tests.integration.predicting import QUESTIONS, Question, texts_question


@contextmanager
def visiting(url: str) -> Iterator[None]:
    """Some ask for products that others ask for, too, and some ask models."""
    questions = [*QUESTIONS.values(), texts_question(50)]
    over = threading.Event()

    def come_and_go() -> None:
        for number in count():
            if over.wait(0.05):
                return
            visit(f"{url}/v1/product/{number % 100 + 1}/enriched")
            if number % 5 == 0:
                ask(url, questions[number // 5 % len(questions)])

    with _running(come_and_go, over):
        yield


@contextmanager
def shopping(url: str) -> Iterator[None]:
    """Four at a time, each for a product that no cache has: one would wait for what hangs."""
    products, over = count(1), threading.Event()

    def shop() -> None:
        while not over.wait(0.3):
            visit(f"{url}/v1/product/{next(products) % 9000 + 1001}/enriched")

    with _running(shop, over, at_once=4):
        yield


@contextmanager
def visiting_again_and_again(url: str, pause_seconds: float) -> Iterator[None]:
    """One page, from now on, as the demo does."""
    over = threading.Event()

    def go_on() -> None:
        visit(url)
        while not over.wait(pause_seconds):
            visit(url)

    with _running(go_on, over):
        yield


@contextmanager
def _running(work: Callable[[], None], over: threading.Event, at_once: int = 1) -> Iterator[None]:
    threads = [threading.Thread(target=work) for _ in range(at_once)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join()


def ask(url: str, question: Question) -> None:
    """Put a question to a model."""
    headers = {"Content-Type": question.kind}
    visit(urllib.request.Request(url + question.path, question.body, headers))


def visit(request: str | urllib.request.Request) -> None:
    """Whatever becomes of it."""
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            answer.read()
    except OSError:
        pass  # refused, or failed: that is in the metrics

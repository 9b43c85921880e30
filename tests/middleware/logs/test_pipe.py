"""Putting a line costs nothing and cannot fail, whatever becomes of it."""

import io
import threading
from pathlib import Path
from typing import BinaryIO

import orjson

from middleware.logs.pipe import LinePipe

from .counting import CountedDrops

NEVER_SECONDS = 3600.0
PATIENCE_SECONDS = 30.0


def fails() -> bytes:
    raise RuntimeError("this line cannot be made")


def test_a_line_that_cannot_be_made_costs_itself_only(drops: CountedDrops) -> None:
    stream = io.BytesIO()
    pipe = LinePipe(stream, drops)
    pipe.start()

    for line in (b"1\n", fails, lambda: b"2\n", lambda: None):
        pipe.put(line)  # type: ignore[arg-type]  # what is no line, too
    pipe.close(PATIENCE_SECONDS)

    assert stream.getvalue() == b"1\n2\n"
    assert drops.lines == 2


def test_a_line_that_takes_too_long_to_make_is_given_up_with_those_behind_it(
    drops: CountedDrops,
) -> None:
    stream, released = io.BytesIO(), threading.Event()
    pipe = LinePipe(stream, drops)
    pipe.start()
    (writer,) = [each for each in threading.enumerate() if each.name == "log-writer"]

    pipe.put(lambda: b"slow\n" if released.wait(PATIENCE_SECONDS) else b"")
    pipe.put(b"behind\n")
    pipe.close(timeout_seconds=0.2)
    pipe.start()
    released.set()
    writer.join(PATIENCE_SECONDS)
    pipe.put(b"again\n")
    pipe.close(PATIENCE_SECONDS)

    assert stream.getvalue() == b"again\n"
    assert drops.lines == 2


def test_a_full_queue_keeps_the_oldest(drops: CountedDrops) -> None:
    stream = io.BytesIO()
    pipe = LinePipe(stream, drops, max_lines=3)

    for number in range(5):
        pipe.put(b"%d\n" % number)
    pipe.start()
    pipe.close(PATIENCE_SECONDS)

    assert stream.getvalue() == b"0\n1\n2\n"
    assert drops.lines == 2


def test_few_long_lines_fill_the_queue_too(drops: CountedDrops) -> None:
    pipe = LinePipe(io.BytesIO(), drops)
    line = b"x" * 1024 * 1024

    for _ in range(100):
        pipe.put(line)

    assert drops.lines == 100 - 16


def test_what_was_lost_before_there_was_a_counter_is_counted_later() -> None:
    pipe = LinePipe(io.BytesIO(), max_lines=1)
    for _ in range(4):
        pipe.put(b"line\n")
    drops = CountedDrops()

    pipe.losses.attach(drops)

    assert drops.lines == 3


def test_a_long_line_is_cut_and_stays_json() -> None:
    stream = io.BytesIO()
    pipe = LinePipe(stream)
    pipe.start()
    fields = {f"field_{number}": "\x00" * 10_000 for number in range(100)}

    pipe.put(orjson.dumps({"event": "grew", **fields, "items": list(range(100_000))}) + b"\n")
    pipe.put(orjson.dumps({"event": "other"}) + b"\n")
    pipe.close(PATIENCE_SECONDS)

    long, other = stream.getvalue().splitlines()
    assert len(long) < 64 * 1024
    event = orjson.loads(long)
    assert event["event"] == "grew"
    assert event["line_cut_from_bytes"] > 6_000_000
    assert orjson.loads(other) == {"event": "other"}


def test_a_long_line_that_is_not_json_is_cut_as_text() -> None:
    stream = io.BytesIO()
    pipe = LinePipe(stream)
    pipe.start()

    pipe.put(("é" * 100_000 + "\n").encode())
    pipe.close(PATIENCE_SECONDS)

    text = stream.getvalue().decode()
    assert len(text.encode()) <= 64 * 1024
    assert text.endswith("é [line cut]\n")


def test_an_urgent_line_does_not_wait_for_the_next_flush(ends: tuple[BinaryIO, int]) -> None:
    pipe = LinePipe(ends[1], flush_seconds=NEVER_SECONDS)
    pipe.start()

    for number in range(20):
        pipe.put(b"calm\n")
        pipe.put(b"urgent %d\n" % number, urgent=True)

        assert ends[0].readline() == b"calm\n"
        assert ends[0].readline() == b"urgent %d\n" % number
    pipe.close(PATIENCE_SECONDS)


def test_lines_that_are_not_urgent_arrive_by_themselves(ends: tuple[BinaryIO, int]) -> None:
    pipe = LinePipe(ends[1], flush_seconds=0.01)
    pipe.start()

    for number in range(5):
        pipe.put(b"%d\n" % number)

        assert ends[0].readline() == b"%d\n" % number
    pipe.close(PATIENCE_SECONDS)


def test_lines_of_many_threads_arrive_whole_and_each_threads_in_order() -> None:
    stream = io.BytesIO()
    pipe = LinePipe(stream, max_lines=100_000)
    pipe.start()

    def say(name: int) -> None:
        for number in range(2000):
            pipe.put(b"%d %d\n" % (name, number))

    threads = [threading.Thread(target=say, args=[name]) for name in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    pipe.close(PATIENCE_SECONDS)

    lines = [tuple(map(int, line.split())) for line in stream.getvalue().splitlines()]
    assert len(lines) == 8000
    assert all(
        [i for name, i in lines if name == wanted] == list(range(2000)) for wanted in range(4)
    )


def test_a_closed_pipe_counts_what_still_comes(drops: CountedDrops) -> None:
    stream = io.BytesIO()
    pipe = LinePipe(stream, drops)
    pipe.start()
    pipe.put(b"in time\n")
    pipe.close(PATIENCE_SECONDS)

    pipe.put(b"late\n", urgent=True)

    assert stream.getvalue() == b"in time\n"
    assert drops.lines == 1


def test_nothing_is_started_before_it_is_asked_for_and_nothing_stays() -> None:
    threads, files = threading.active_count(), len(list(Path("/proc/self/fd").iterdir()))
    stream = io.BytesIO()
    pipe = LinePipe(stream)
    pipe.put(b"early\n")
    assert threading.active_count() == threads

    for _ in range(50):
        pipe.start()
        pipe.start()
        pipe.put(b"line\n")
        pipe.close(PATIENCE_SECONDS)
        pipe.close(PATIENCE_SECONDS)

    assert stream.getvalue() == b"early\n" + b"line\n" * 50
    assert threading.active_count() == threads
    assert len(list(Path("/proc/self/fd").iterdir())) == files

"""Lines between processes that do not wait for each other."""

import os
from collections.abc import Iterator

import pytest

from middleware.stall.sidecar.lines import LineReader, LineWriter

LONG = b"x" * 50_000


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reading, writing = os.pipe()
    yield reading, writing
    os.close(reading)
    os.close(writing)


def test_nobody_reading_costs_nobody_anything() -> None:
    reading, writing = os.pipe()
    writer = LineWriter(writing, kept=2)

    os.close(reading)
    writer.put(b"a")
    is_empty = writer.flush()
    os.close(writing)

    assert is_empty


def test_what_does_not_fit_is_kept_up_to_a_bound_and_lines_stay_whole(
    pipe: tuple[int, int],
) -> None:
    reader, writer = LineReader(pipe[0]), LineWriter(pipe[1], kept=2)

    for number in range(10):
        writer.put(b"%d" % number + LONG)
    lines = reader.lines()
    while not writer.flush():
        lines += reader.lines()
    lines += reader.lines()

    assert [line[:1] for line in lines] == [b"0", b"1", b"8", b"9"]
    assert all(line[1:] == LONG for line in lines)


def test_half_a_line_is_waited_for(pipe: tuple[int, int]) -> None:
    reader = LineReader(pipe[0])

    os.write(pipe[1], b"one\nt")
    first = reader.lines()
    os.write(pipe[1], b"wo\n")
    second = reader.lines()

    assert (first, second) == ([b"one"], [b"two"])
    assert not reader.ended


def test_the_end_is_noticed() -> None:
    reading, writing = os.pipe()
    reader = LineReader(reading)

    os.write(writing, b"last\n")
    os.close(writing)
    lines = reader.lines()
    os.close(reading)

    assert lines == [b"last"]
    assert reader.ended

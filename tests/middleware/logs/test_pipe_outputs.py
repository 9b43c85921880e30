"""An output that hangs, fails or fills up costs lines, and nothing else."""

import io
import os
import threading
from typing import BinaryIO

import pytest

from middleware.logs.pipe import LinePipe

from .counting import CountedDrops

NEVER_SECONDS = 3600.0
PATIENCE_SECONDS = 30.0


def fill(pipe: LinePipe, lines: int) -> None:
    for number in range(lines):
        pipe.put(b"%d %s\n" % (number, b"x" * 1000))


def test_a_reader_that_hangs_costs_lines_and_nothing_else(
    ends: tuple[BinaryIO, int], drops: CountedDrops
) -> None:
    pipe = LinePipe(ends[1], drops, max_lines=10)
    pipe.start()

    fill(pipe, 1000)
    lost_while_open = drops.lines
    pipe.close(timeout_seconds=0.05)

    assert lost_while_open >= 1000 - 10 - 10 - 4
    assert drops.lines > lost_while_open


def test_lines_arrive_again_when_the_reader_wakes_up(
    ends: tuple[BinaryIO, int], drops: CountedDrops
) -> None:
    reader, writing = ends
    pipe = LinePipe(writing, drops, max_lines=10, flush_seconds=0.001)
    pipe.start()
    fill(pipe, 1000)

    pipe_lines = [reader.readline() for _ in range(int(1000 - drops.lines))]
    pipe.put(b"after\n", urgent=True)

    assert all(len(line.split()[1]) == 1000 for line in pipe_lines)
    assert reader.readline() == b"after\n"
    pipe.close(PATIENCE_SECONDS)


def test_a_writer_left_behind_ends_when_its_output_does(
    ends: tuple[BinaryIO, int], drops: CountedDrops
) -> None:
    reader, writing = ends
    pipe = LinePipe(writing, drops, max_lines=10)
    pipe.start()
    fill(pipe, 1000)
    (stuck,) = [each for each in threading.enumerate() if each.name == "log-writer"]
    pipe.close(timeout_seconds=0.01)

    reader.close()
    stuck.join(PATIENCE_SECONDS)

    assert not stuck.is_alive()
    assert drops.lines >= 1000 - 10


@pytest.mark.parametrize("how", ["no reader", "closed", "full disk", "no stream"])
def test_an_output_that_fails_is_counted(how: str, drops: CountedDrops) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    full = os.open("/dev/full", os.O_WRONLY)
    closed = os.dup(writing)
    os.close(closed)
    target = {"no reader": writing, "closed": closed, "full disk": full, "no stream": None}[how]
    pipe = LinePipe(target, drops)
    pipe.start()

    fill(pipe, 7)
    pipe.close(PATIENCE_SECONDS)

    assert drops.lines == 7
    os.close(writing)
    os.close(full)


def test_lines_arrive_again_when_the_disk_has_room(
    ends: tuple[BinaryIO, int], drops: CountedDrops
) -> None:
    target = os.open("/dev/full", os.O_WRONLY)
    pipe = LinePipe(target, drops, flush_seconds=NEVER_SECONDS)
    pipe.start()
    lost = threading.Event()
    pipe.losses.attach(_Signalling(lost))
    pipe.put(b"lost\n", urgent=True)
    assert lost.wait(PATIENCE_SECONDS)

    os.dup2(ends[1], target)
    pipe.put(b"found\n", urgent=True)

    assert ends[0].readline() == b"found\n"
    assert drops.lines == 1
    pipe.close(PATIENCE_SECONDS)
    os.close(target)


class _Signalling(CountedDrops):
    def __init__(self, event: threading.Event) -> None:
        super().__init__()
        self.event = event

    def add(self, signal: object, amount: int = 1) -> None:
        self.event.set()


def test_an_output_that_must_not_be_waited_for_gets_every_line(
    ends: tuple[BinaryIO, int], drops: CountedDrops
) -> None:
    reader, writing = ends
    os.set_blocking(writing, False)
    pipe = LinePipe(writing, drops)
    pipe.start()

    fill(pipe, 50)
    lines = [reader.readline() for _ in range(50)]

    assert [int(line.split()[0]) for line in lines] == list(range(50))
    assert drops.lines == 0
    pipe.close(PATIENCE_SECONDS)


def test_a_stream_that_raises_is_counted(drops: CountedDrops) -> None:
    stream = io.StringIO()
    stream.close()
    pipe = LinePipe(stream, drops)
    pipe.start()

    pipe.put(b"line\n")
    pipe.close(PATIENCE_SECONDS)

    assert drops.lines == 1

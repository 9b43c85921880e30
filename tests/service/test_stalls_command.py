"""`stallscope stalls`: clear about what is wrong, and about what blocked the loop."""

import json
import signal
import socket
import subprocess
import threading
from pathlib import Path

import pytest

from middleware.stall.history import StallHistory
from middleware.stall.record import Cause, Frame
from service.__main__ import main
from service.demo.ports import free_port
from tests.middleware.ops.stall_records import (
    history_of,
    history_of_every_cause,
    stall,
    stalls_shown,
)
from tests.service.command import command, environment_of

PATIENCE_SECONDS = 30


@pytest.fixture(autouse=True)
def _wide_terminal_and_no_token(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.delenv("OPS_TOKEN", raising=False)
    monkeypatch.chdir(tmp_path)


def complaint(capsys: pytest.CaptureFixture[str]) -> str:
    """The one message, and nothing else."""
    captured = capsys.readouterr()
    assert captured.out == ""
    (line,) = captured.err.splitlines()
    assert line.startswith("stallscope: ")
    return line


def test_when_nothing_answers_it_says_what_to_look_at(capsys: pytest.CaptureFixture[str]) -> None:
    url = f"http://127.0.0.1:{free_port()}"

    assert main(["stalls", url]) == 1

    line = complaint(capsys)
    assert f"nothing answers at {url}" in line
    assert "OPS_PORT" in line


@pytest.mark.parametrize("url", ["ftp://127.0.0.1", "file:///etc/passwd", "http://", "http://["])
def test_what_is_no_address_is_not_asked(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["stalls", url]) == 1

    assert "no address of an ops port" in complaint(capsys)


def test_whoever_is_silent_may_hold_the_gil(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.stalls._TIMEOUT_SECONDS", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        assert main(["stalls", f"127.0.0.1:{silent.getsockname()[1]}"]) == 1

    assert "holds its GIL" in complaint(capsys)


@pytest.mark.parametrize(
    "content", [b"HTTP/1.1 200 OK\r\n\r\n<html>", b"HTTP/1.1 200 OK\r\n\r\n[1]", b"SSH-2.0\r\n"]
)
def test_another_server_is_told_from_an_ops_port(
    content: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    def answer(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(10_000)
            connection.sendall(content)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        answering = threading.Thread(target=answer, args=(listener,))
        answering.start()
        assert main(["stalls", f"http://127.0.0.1:{listener.getsockname()[1]}"]) == 1
        answering.join(PATIENCE_SECONDS)

    assert "ops port" in complaint(capsys)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [([], "wants a token: give --token, or set OPS_TOKEN"), (["--token", "x"], "not take this")],
)
def test_a_token_is_asked_for(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with stalls_shown(StallHistory(), token="s3cret") as port:
        assert main(["stalls", f"http://127.0.0.1:{port}", *arguments]) == 1

    assert words in complaint(capsys)


def test_an_unknown_id_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    with stalls_shown(StallHistory()) as port:
        assert main(["stalls", f"http://127.0.0.1:{port}", "--id", "1/../x y"]) == 1

    assert "no stall 1/../x y" in complaint(capsys)


def test_a_terminal_obeys_no_name(capsys: pytest.CaptureFixture[str]) -> None:
    odd = Frame("m\x1b[31m", "[red]f[/]\udcff", "/\x07.py", 1)
    history = history_of(stall("1-a", culprit=odd, stack=(odd,), route="/\x1b]0;title\x07"))

    with stalls_shown(history) as port:
        assert main(["stalls", f"http://127.0.0.1:{port}"]) == 0
        assert main(["stalls", f"http://127.0.0.1:{port}", "--id", "1-a"]) == 0

    printed = capsys.readouterr().out
    assert "\x1b" not in printed
    assert "\x07" not in printed
    assert "[red]f[/]\N{REPLACEMENT CHARACTER}" in printed


@pytest.mark.parametrize("suffix", ["", "/", "/stalls", "/stalls/"])
def test_the_address_of_the_page_is_as_good(
    suffix: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with stalls_shown(StallHistory()) as port:
        assert main(["stalls", f"127.0.0.1:{port}{suffix}"]) == 0

    assert capsys.readouterr().out == "No stall yet: all is well.\n"


def test_switched_off_is_not_well(capsys: pytest.CaptureFixture[str]) -> None:
    with stalls_shown(None) as port:
        assert main(["stalls", f"http://127.0.0.1:{port}"]) == 0

    printed = capsys.readouterr().out
    assert "OBSERVABILITY__STALLS" in printed
    assert "well" not in printed


@pytest.mark.parametrize("kept_in", ["environment", "file", "argument"])
def test_the_token_is_taken_from_where_the_service_has_it(
    kept_in: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    arguments = ["--token", "s3cret"] if kept_in == "argument" else []
    if kept_in == "environment":
        monkeypatch.setenv("OPS_TOKEN", "s3cret")
    if kept_in == "file":
        (tmp_path / ".env").write_text("OPS_TOKEN=s3cret\n")

    with stalls_shown(StallHistory(), token="s3cret") as port:
        assert main(["stalls", f"http://127.0.0.1:{port}", *arguments]) == 0

    assert "well" in capsys.readouterr().out


def test_every_stall_is_a_row(capsys: pytest.CaptureFixture[str]) -> None:
    history = history_of_every_cause()
    history.put(stall("1-now", phase="ongoing", duration_seconds=2.25))

    with stalls_shown(history) as port:
        assert main(["stalls", f"http://127.0.0.1:{port}"]) == 0

    printed = capsys.readouterr().out
    assert all(cause in printed for cause in Cause)
    for words in ("300 ms", "2.25 s …", "shop.prices:fetch_rates", "/v1/prices/{currency}", "12"):
        assert words in printed
    assert printed.index("1-now") < printed.index("1-0")


def test_one_is_shown_with_its_explanation_and_its_stack(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with stalls_shown(history_of(stall("1-a"))) as port:
        assert main(["stalls", f"http://127.0.0.1:{port}", "--id", "1-a"]) == 0

    printed = capsys.readouterr().out
    assert "clock_nanosleep: it slept." in printed
    assert "What helps: Write await asyncio.sleep(…)." in printed
    assert printed.index("Server.serve") < printed.index("time.sleep(0.3)")


def test_json_is_what_the_ops_port_says(capsys: pytest.CaptureFixture[str]) -> None:
    with stalls_shown(history_of(stall("1-a"))) as port:
        assert main(["stalls", f"http://127.0.0.1:{port}", "--json"]) == 0
        listing = json.loads(capsys.readouterr().out)
        assert main(["stalls", f"http://127.0.0.1:{port}", "--json", "--id", "1-a"]) == 0
        one = json.loads(capsys.readouterr().out)

    assert listing["stalls"][0]["id"] == one["id"] == "1-a"
    assert one["folded"]


def test_followed_new_ones_are_printed_as_they_come(tmp_path: Path) -> None:
    history = history_of(stall("1-old"))
    with stalls_shown(history) as port:
        url = f"http://127.0.0.1:{port}"
        with subprocess.Popen(
            command("stalls", url, "--follow"),
            env=environment_of(PYTHONUNBUFFERED="1"),
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as process:
            assert process.stdout is not None
            waiting = process.stdout.readline()
            history.put(stall("1-new", phase="ongoing"))
            began = process.stdout.readline()
            history.put(stall("1-new", duration_seconds=4.5))
            ended = process.stdout.readline()
            process.send_signal(signal.SIGINT)
            rest, _ = process.communicate(timeout=PATIENCE_SECONDS)

    assert url in waiting
    assert "1-new" in began
    assert "300 ms …" in began
    assert "4.50 s" in ended
    assert (process.returncode, rest) == (130, "")

"""However a process ends, it ends soon, quietly, and with its lines written."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]

BEGIN = """
import os, signal, sys, threading, time
import structlog
from middleware.logs import configured_logs
entered = configured_logs()
logs = entered.__enter__()
log = structlog.get_logger("child")
for number in range(1000):
    log.info("counted", number=number)
"""


# Coverage has locks of its own, which a child forked from many threads may inherit taken.
UNWATCHED = {name: value for name, value in os.environ.items() if "COVERAGE" not in name}


def run(program: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-c", BEGIN + program],
        cwd=ROOT,
        env=UNWATCHED,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def numbers(done: subprocess.CompletedProcess[str]) -> list[int]:
    return [json.loads(line)["number"] for line in done.stdout.splitlines()]


@pytest.mark.parametrize(
    ("program", "code", "said"),
    [
        ("", 0, ""),
        ("sys.exit(3)", 3, ""),
        ("raise RuntimeError('unhandled')", 1, "RuntimeError: unhandled"),
        ("threading.Thread(target=lambda: time.sleep(0.05)).start()", 0, ""),
        ("signal.raise_signal(signal.SIGINT)", -2, "KeyboardInterrupt"),
    ],
)
def test_every_line_is_written_before_the_process_ends(program: str, code: int, said: str) -> None:
    done = run(f"signal.signal(signal.SIGINT, signal.default_int_handler)\n{program}")

    assert numbers(done) == list(range(1000))
    assert done.returncode == code
    assert done.stderr.strip().endswith(said)
    assert done.stderr.count("Traceback") == bool(said)
    assert "Exception ignored" not in done.stderr


def test_a_process_ends_although_nobody_reads_what_it_wrote() -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", f"{BEGIN}\nfor _ in range(20_000): log.info('more')"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )

    code = child.wait(timeout=60)

    assert code == 0
    with child:
        assert child.stderr is not None
        assert child.stderr.read() == b""


def test_a_forked_child_logs_its_own_lines_and_not_its_parents() -> None:
    done = run("""
log.info("counted", number=1000)
pid = os.fork()
if not pid:
    log.info("counted", number=2000)
    sys.exit(0)
assert os.waitpid(pid, 0)[1] == 0
log.info("counted", number=1001)
""")

    assert done.stderr == ""
    assert sorted(numbers(done)) == [*range(1002), 2000]


def test_a_child_forked_while_many_threads_log_does_not_hang() -> None:
    done = run("""
def busy():
    for _ in range(20_000):
        logs.pipe.put(b"")
threads = [threading.Thread(target=busy) for _ in range(2)]
for thread in threads: thread.start()
for number in range(2000, 2020):
    pid = os.fork()
    if not pid:
        log.warning("counted", number=number)
        logs.pipe.close(30)
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
""")

    assert done.stderr == ""
    assert sorted(numbers(done)) == [*range(1000), *range(2000, 2020)]


def test_processes_that_fill_one_pipe_tear_no_line_of_each_other() -> None:
    program = """
import os, sys
from middleware.logs.outlet import Outlet
name = b"c" if os.fork() else b"p"
lost = Outlet(1).write(b"".join(name * length + b"\\n" for length in range(1, 1000)))
sys.exit(lost)
"""
    reading, writing = os.pipe()
    with subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, stdout=writing) as both:
        os.close(writing)
        read = b"".join(iter(lambda: os.read(reading, 700), b""))
    os.close(reading)

    assert both.returncode == 0
    assert sorted(map(len, read.split())) == sorted([*range(1, 1000)] * 2)
    assert all(len(set(line)) == 1 for line in read.split())


def test_a_line_torn_by_a_full_disk_is_finished_when_there_is_room(tmp_path: Path) -> None:
    file = tmp_path / "log"
    program = f"""
import os, resource
from middleware.logs.outlet import Outlet
descriptor = os.open({str(file)!r}, os.O_WRONLY | os.O_CREAT)
_, most = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (15, most))
outlet = Outlet(descriptor)
print(outlet.write(b"line 0001\\nline 0002\\nline 0003\\n"), outlet.write(b"line 0004\\n"))
resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
print(outlet.write(b"line 0005\\n"))
"""

    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )

    assert done.stdout.split() == ["1", "1", "0"]
    assert file.read_text() == "line 0001\nline 0002\nline 0005\n"

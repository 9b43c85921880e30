"""The numbers of system calls, held against the kernel's own where its headers are installed."""

import re
from pathlib import Path

import pytest

from middleware.stall.sidecar.system_calls import _NUMBERS, system_call_of

HEADERS = [
    Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h"),
    Path("/usr/include/asm-generic/unistd.h"),
]


@pytest.mark.parametrize("text", ["running\n", ""])
def test_a_thread_in_no_system_call_is_in_none(text: str) -> None:
    assert system_call_of(text) is None


@pytest.mark.parametrize(
    ("text", "machine", "name"),
    [
        ("202 0x1 0x80\n", "x86_64", "futex"),
        ("98 0x1 0x80\n", "aarch64", "futex"),
        ("0 0x5 0x7f\n", "x86_64", "read"),
        ("39 0x5\n", "x86_64", "syscall_39"),
        ("202 0x1\n", "riscv64", "syscall_202"),
    ],
)
def test_a_system_call_is_named(text: str, machine: str, name: str) -> None:
    assert system_call_of(text, machine) == name


@pytest.mark.parametrize(("column", "header"), list(enumerate(HEADERS)))
def test_the_numbers_are_the_kernels(column: int, header: Path) -> None:
    if not header.exists():
        pytest.skip(f"there is no {header}")
    defined = re.findall(r"#define __NR(?:3264)?_(\w+) (\d+)", header.read_text())
    kernels = {name: int(number) for name, number in defined}

    ours = {name: both[column] for name, both in _NUMBERS.items() if both[column] is not None}

    known = {name: number for name, number in ours.items() if name in kernels}
    assert known == {name: kernels[name] for name in known}
    assert len(known) > 40

"""The numbers of the system calls that may keep a thread waiting."""

import os

# Name: number on x86_64, on aarch64 (None: has none), as in the kernel's unistd.h.
_NUMBERS: dict[str, tuple[int | None, int | None]] = {
    "read": (0, 63),
    "write": (1, 64),
    "open": (2, None),
    "close": (3, 57),
    "stat": (4, None),
    "fstat": (5, 80),
    "lstat": (6, None),
    "poll": (7, None),
    "munmap": (11, 215),
    "ioctl": (16, 29),
    "pread64": (17, 67),
    "pwrite64": (18, 68),
    "readv": (19, 65),
    "writev": (20, 66),
    "select": (23, None),
    "msync": (26, 227),
    "madvise": (28, 233),
    "pause": (34, None),
    "nanosleep": (35, 101),
    "sendfile": (40, 71),
    "connect": (42, 203),
    "accept": (43, 202),
    "sendto": (44, 206),
    "recvfrom": (45, 207),
    "sendmsg": (46, 211),
    "recvmsg": (47, 212),
    "wait4": (61, 260),
    "semop": (65, 193),
    "msgsnd": (69, 189),
    "msgrcv": (70, 188),
    "fcntl": (72, 25),
    "flock": (73, 32),
    "fsync": (74, 82),
    "fdatasync": (75, 83),
    "getdents": (78, None),
    "rename": (82, None),
    "mkdir": (83, None),
    "rmdir": (84, None),
    "unlink": (87, None),
    "rt_sigtimedwait": (128, 137),
    "rt_sigsuspend": (130, 133),
    "sync": (162, 81),
    "futex": (202, 98),
    "io_getevents": (208, 4),
    "getdents64": (217, 61),
    "semtimedop": (220, 192),
    "clock_nanosleep": (230, 115),
    "epoll_wait": (232, None),
    "mq_timedsend": (242, 182),
    "mq_timedreceive": (243, 183),
    "waitid": (247, 95),
    "openat": (257, 56),
    "mkdirat": (258, 34),
    "newfstatat": (262, 79),
    "unlinkat": (263, 35),
    "renameat": (264, 38),
    "pselect6": (270, 72),
    "ppoll": (271, 73),
    "splice": (275, 76),
    "tee": (276, 77),
    "sync_file_range": (277, 84),
    "epoll_pwait": (281, 22),
    "fallocate": (285, 47),
    "accept4": (288, 242),
    "preadv": (295, 69),
    "pwritev": (296, 70),
    "recvmmsg": (299, 243),
    "syncfs": (306, 267),
    "sendmmsg": (307, 269),
    "renameat2": (316, 276),
    "getrandom": (318, 278),
    "copy_file_range": (326, 285),
    "preadv2": (327, 286),
    "pwritev2": (328, 287),
    "statx": (332, 291),
    "io_uring_enter": (426, 426),
    "openat2": (437, 437),
    "epoll_pwait2": (441, 441),
    "futex_waitv": (449, 449),
}
_MACHINES = {"x86_64": 0, "aarch64": 1}
WAIT_FOR_EVENTS = frozenset(
    {"epoll_wait", "epoll_pwait", "epoll_pwait2", "poll", "ppoll", "select", "pselect6"}
)

_names: dict[str, dict[str, str]] = {}


def system_call_of(text: str, machine: str | None = None) -> str | None:
    """The call that `/proc/PID/task/TID/syscall` tells of; None when the thread is in none.

    One that is not known to wait is `syscall_` and its number.
    """
    number = text.split(" ", 1)[0].strip()
    if number == "-1":  # it waits, but for no call: for memory that has to be read in
        return "page_fault"
    if not number.isdecimal():  # "running", or nothing
        return None
    return _names_on(machine or os.uname().machine).get(number, f"syscall_{number}")


def _names_on(machine: str) -> dict[str, str]:
    if machine not in _names:
        column = _MACHINES.get(machine)
        numbers = {} if column is None else {k: both[column] for k, both in _NUMBERS.items()}
        _names[machine] = {str(v): name for name, v in numbers.items() if v is not None}
    return _names[machine]

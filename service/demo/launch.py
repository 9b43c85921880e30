"""Becomes another program that ends with its parent; run by `processes.launch`, never imported.

A fork hook (`preexec_fn`) could do the same, but is not safe in a process that has threads.
Standard library only, because it runs with `-I -S`.
"""

import ctypes
import os
import sys

PR_SET_PDEATHSIG = 1


def main(arguments: list[str]) -> None:
    """Give up root where `user` is not negative, tie this process to its parent, then exec."""
    parent, death_signal, user, group = map(int, arguments[:4])
    command = arguments[4:]
    if user >= 0:
        os.setgroups([])
        os.setgid(group)
        os.setuid(user)
    # After the change of user, which would clear it.
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, death_signal, 0, 0, 0)
        if os.getppid() != parent:
            sys.exit("The parent ended before this program could start.")
    os.execv(command[0], command)


if __name__ == "__main__":
    main(sys.argv[1:])

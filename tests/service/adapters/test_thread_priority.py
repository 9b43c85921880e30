"""The event loop is served before the threads that compute."""

import os
import sys
import threading

import pytest

from service.adapters.thread_priority import Niceness, step_back


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has a priority per thread")
def test_a_thread_steps_back_alone() -> None:
    own = os.getpriority(os.PRIO_PROCESS, 0)
    found = []

    def work() -> None:
        step_back(Niceness.PREPARING)
        found.append(os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()

    assert found == [min(19, own + Niceness.PREPARING)]
    assert os.getpriority(os.PRIO_PROCESS, 0) == own

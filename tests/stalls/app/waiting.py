"""Synchronous calls that wait for somebody: each of them for WAIT_SECONDS."""
# ruff: noqa: ASYNC210, ASYNC221  it is what this is about

import os
import select
import selectors
import socket
import subprocess
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

from fastapi import APIRouter

WAIT_SECONDS = 0.3

router = APIRouter(prefix="/wait")


@router.get("/lock")
async def lock() -> None:
    taken = threading.Lock()
    taken.acquire()
    threading.Timer(WAIT_SECONDS, taken.release).start()
    taken.acquire()  # guilty: lock


@router.get("/socket")
async def receive() -> None:
    with said_late() as ours:
        ours.recv(1)  # guilty: socket


@router.get("/http")
async def fetch() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=answer_late, args=(server,), name="slow-upstream").start()
        url = f"http://127.0.0.1:{server.getsockname()[1]}/"
        urllib.request.urlopen(url).close()  # guilty: http


def answer_late(server: socket.socket) -> None:
    """One request, as a slow upstream does."""
    connection, _ = server.accept()
    with connection:
        connection.recv(4096)
        threading.Event().wait(WAIT_SECONDS)
        connection.sendall(b"HTTP/1.0 204 No Content\r\n\r\n")


@router.get("/subprocess")
async def run() -> None:
    subprocess.run(["sleep", str(WAIT_SECONDS)], check=True)  # guilty: subprocess


@router.get("/pipe")
async def read() -> None:
    with said_late() as ours:
        os.read(ours.fileno(), 1)  # guilty: pipe


@router.get("/poll")
async def poll() -> None:
    with said_late() as ours:
        poller = select.poll()
        poller.register(ours, select.POLLIN)
        poller.poll(5000)  # guilty: poll


@router.get("/select")
async def query() -> None:
    """As psycopg waits for PostgreSQL: a selector of its own around a non-blocking socket."""
    with said_late() as ours, selectors.DefaultSelector() as selector:
        ours.setblocking(False)
        selector.register(ours, selectors.EVENT_READ)
        selector.select(5)  # guilty: select


@contextmanager
def said_late() -> Iterator[socket.socket]:
    """A socket on which something is said after a while."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        saying = threading.Timer(WAIT_SECONDS, theirs.send, (b"x",))
        saying.start()
        yield ours
        saying.join()

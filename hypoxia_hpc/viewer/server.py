"""The server: connections wait in one thread, answers are made in a few others. It holds back clients, not itself: a
connection that asks for nothing or reads nothing costs some KB until its time is over."""

from __future__ import annotations

import asyncio
import resource
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from http import HTTPStatus

from hypoxia_hpc.viewer.access import Access
from hypoxia_hpc.viewer.http_messages import (
    MOST_HEAD_BYTES,
    NO_FRAMES,
    Answer,
    BadRequestError,
    Request,
    answer_bytes,
    plain_answer,
    request_of,
)
from hypoxia_hpc.viewer.listening import MOST_WAITING

THREADS = 4
MOST_CONNECTIONS = 2048
# Files that the process needs beside connections: slides, tables, libraries.
OTHER_FILES = 128
# For the rest of a request, and for the client to take an answer.
HEAD_SECONDS, WRITE_SECONDS = 30.0, 30.0
POLL_SECONDS = 0.2
REFUSALS = {
    HTTPStatus.UNAUTHORIZED: "401: open the link that hypoxia-hpc view has printed",
    HTTPStatus.FORBIDDEN: "403: the viewer answers to localhost alone, and to no other site",
}


class Server:
    """Serves ``respond`` on a listening socket until ``stop`` is set or nothing was asked for ``idle_seconds``.

    ``respond(request) -> Answer`` is called in several threads, for requests that may be answered, which ``access``
    says. ``framed_by``: as `answer_bytes` has it.
    """

    def __init__(
        self,
        listening: socket.socket,
        respond: Callable[[Request], Answer],
        *,
        access: Callable[[Request], Access],
        framed_by: str = NO_FRAMES,
        stop: threading.Event,
        idle_seconds: float,
    ) -> None:
        self._listening, self._respond, self._access = listening, respond, access
        self._bytes = partial(answer_bytes, framed_by=framed_by)
        self._stop, self._idle_seconds = stop, idle_seconds
        self._most = _most_connections()
        self._tasks: set[asyncio.Task[None]] = set()
        self._last = time.monotonic()

    def run(self) -> bool:
        """Serve. Whether it ended because nothing was asked for."""
        with ThreadPoolExecutor(THREADS, "viewer") as threads:
            asyncio.run(self._serve(threads))
        return not self._stop.is_set()

    async def _serve(self, threads: ThreadPoolExecutor) -> None:
        async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None  # noqa: S101 - it runs
            self._tasks.add(task)
            try:
                await self._converse(reader, writer, threads)
            except (OSError, EOFError, TimeoutError, asyncio.CancelledError):
                writer.transport.abort()
            finally:
                self._tasks.discard(task)
                writer.close()

        is_unix = self._listening.family == socket.AF_UNIX
        start = asyncio.start_unix_server if is_unix else asyncio.start_server
        server = await start(connected, sock=self._listening, limit=MOST_HEAD_BYTES, backlog=MOST_WAITING)
        while not self._stop.is_set() and time.monotonic() - self._last < self._idle_seconds:
            await asyncio.sleep(POLL_SECONDS)
        server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks)

    async def _converse(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, threads: ThreadPoolExecutor
    ) -> None:
        """Answer one request after another."""
        if len(self._tasks) > self._most:
            refusal = plain_answer(HTTPStatus.SERVICE_UNAVAILABLE)
            return await self._send(writer, self._bytes(refusal, keeps_open=False))
        keeps_open = True
        while keeps_open:
            try:
                async with asyncio.timeout(HEAD_SECONDS):
                    head = await reader.readuntil(b"\r\n\r\n")
                request = request_of(head[:-4])
            except asyncio.LimitOverrunError:
                refusal = plain_answer(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
                return await self._send(writer, self._bytes(refusal, keeps_open=False))
            except BadRequestError as error:
                return await self._send(writer, self._bytes(plain_answer(error.status), keeps_open=False))
            keeps_open = request.keeps_open
            answer = await self._answer(request, threads)
            sent = self._bytes(answer, with_body=request.method == "GET", keeps_open=keeps_open)
            await self._send(writer, sent)
        return None

    async def _answer(self, request: Request, threads: ThreadPoolExecutor) -> Answer:
        access = self._access(request)
        if access.status == HTTPStatus.SEE_OTHER:
            return Answer(access.status, headers={"Location": "/", "Set-Cookie": access.set_cookie})
        if access.status != HTTPStatus.OK:
            return plain_answer(access.status, REFUSALS[access.status])
        self._last = time.monotonic()
        asked = replace(request, path=access.path or request.path)
        return await asyncio.get_running_loop().run_in_executor(threads, self._respond, asked)

    async def _send(self, writer: asyncio.StreamWriter, data: bytes) -> None:
        writer.write(data)
        async with asyncio.timeout(WRITE_SECONDS):
            await writer.drain()


def _most_connections() -> int:
    """As many as this process may have files open, after asking for as many as it may ask for."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_CONNECTIONS + OTHER_FILES
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return MOST_CONNECTIONS if soft == resource.RLIM_INFINITY else min(MOST_CONNECTIONS, soft - OTHER_FILES)

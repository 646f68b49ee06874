"""What stands between a run and the API: proxies for HTTP and SOCKS, and TLS.

All lead to one place, whoever is asked for: a name that does not exist can be asked for, and what was is known.
"""

import asyncio
import ssl
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

type Handshake = Callable[["Middleman", asyncio.StreamReader, asyncio.StreamWriter], Awaitable[bytes]]


@dataclass
class Middleman:
    """Answers at 127.0.0.1:`port` and passes on to `target`. `asked`: the hosts that it was asked for."""

    target: tuple[str, int]
    handshake: Handshake
    tls: ssl.SSLContext | None = None
    port: int = 0
    asked: list[str] = field(default_factory=list)
    passwords: set[str] = field(default_factory=set)

    async def serve(self) -> asyncio.Server:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self.tls)
        self.port = server.sockets[0].getsockname()[1]
        return server

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            first = await self.handshake(self, reader, writer)
            there, back = await asyncio.open_connection(*self.target)
            back.write(first)
            await asyncio.gather(_pump(reader, back), _pump(there, writer))
        except (OSError, asyncio.IncompleteReadError):
            pass  # who asked has gone
        finally:
            writer.close()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
    finally:
        writer.close()


async def http(proxy: Middleman, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
    """RFC 9110: an absolute URL in the request line, or CONNECT. Looks at a connection's first request alone."""
    head = await reader.readuntil(b"\r\n\r\n")
    method, place, _ = head.split(b"\r\n")[0].decode().split()
    proxy.passwords |= {
        line.decode() for line in head.split(b"\r\n") if line.lower().startswith(b"proxy-authorization")
    }
    if method == "CONNECT":
        proxy.asked.append(place.rpartition(":")[0])
        writer.write(b"HTTP/1.1 200 Connected\r\n\r\n")
        return b""
    parts = urlsplit(place)
    proxy.asked.append(parts.hostname or "")
    return head.replace(place.encode(), parts.path.encode(), 1)


async def socks(proxy: Middleman, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
    """RFC 1928, with a name to look up and no password."""
    _, methods = await reader.readexactly(2)
    await reader.readexactly(methods)
    writer.write(b"\x05\x00")
    *_, kind = await reader.readexactly(4)
    length = (await reader.readexactly(1))[0] if kind == 3 else 4
    host = await reader.readexactly(length)
    await reader.readexactly(2)
    proxy.asked.append(host.decode() if kind == 3 else ".".join(map(str, host)))
    writer.write(b"\x05\x00\x00\x01" + bytes(6))
    return b""


async def nothing(*_: object) -> bytes:
    """The handshake of a server that is no proxy."""
    return b""


@contextmanager
def serving(*middlemen: Middleman) -> Iterator[None]:
    """All of them, on a thread of their own; nobody listens afterwards."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    servers = []
    try:
        servers = [asyncio.run_coroutine_threadsafe(middleman.serve(), loop).result() for middleman in middlemen]
        yield
    finally:
        asyncio.run_coroutine_threadsafe(_end(servers), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _end(servers: list[asyncio.Server]) -> None:
    """Nobody is served any more, and no connection is left open."""
    for server in servers:
        server.close()
    serving = asyncio.all_tasks() - {asyncio.current_task()}
    for task in serving:
        task.cancel()
    await asyncio.gather(*serving, return_exceptions=True)


def place_of(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    return str(parts.hostname), parts.port or 80

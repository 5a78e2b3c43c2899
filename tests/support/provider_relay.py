"""A relay between Terraform and a provider that runs, which answers for the provider's schema.

Each process of Terraform asks for the schema by the first connection that it opens, and keeps it. That one goes to a
server of gRPC here; all others go straight to the provider, since to pass on bytes takes a tenth of what it takes to
receive a request and send another. Wherever a request ends up, it is answered: by the provider, if need be.
"""

import asyncio
import socket
import struct
import tempfile
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from threading import Thread
from typing import NoReturn, TypeAlias, cast

import grpc
import grpc.aio
import uvloop

from tests.support.provider_schema import named_types, narrowed

__all__ = ["relayed"]

_GET_SCHEMA = "/tfplugin5.Provider/GetSchema"
#: A message may be as long as it likes; what Terraform and providers write of schemas is beyond gRPC's 4 MB.
_UNLIMITED = (("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1))
_Context: TypeAlias = "grpc.aio.ServicerContext[bytes, bytes]"
#: Linux's struct ucred begins with the process at a socket's other end.
_CREDENTIALS = struct.Struct("3i")


@contextmanager
def relayed(provider: str, schema: Path) -> Iterator[str]:
    """Run a relay.

    Args:
        provider: The socket that the provider listens on.
        schema: The file with what Terraform is told of the schema; written when it is first asked for.

    Yields:
        The socket that Terraform is to use in its place.
    """
    loop = uvloop.new_event_loop()
    thread = Thread(target=loop.run_forever, name="provider relay")
    thread.start()
    try:
        with tempfile.TemporaryDirectory(prefix="relay-") as folder:
            relay = _Relay(provider, schema, Path(folder))
            asyncio.run_coroutine_threadsafe(relay.start(), loop).result()
            try:
                yield relay.socket
            finally:
                asyncio.run_coroutine_threadsafe(relay.stop(), loop).result()
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


class _Relay:
    def __init__(self, provider: str, schema: Path, folder: Path) -> None:
        self.socket = str(folder / "relay")
        self._provider = provider
        self._schema = schema
        self._server_socket = str(folder / "server")
        self._known: set[int] = set()
        self._open: set[asyncio.Transport] = set()

    async def start(self) -> None:
        self._channel = grpc.aio.insecure_channel(f"unix:{self._provider}", options=_UNLIMITED)
        self._server = grpc.aio.server(handlers=[_Handler(self._channel, self._schema)], options=_UNLIMITED)
        self._server.add_insecure_port(f"unix:{self._server_socket}")
        await self._server.start()
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.setblocking(False)
        self._listener.bind(self.socket)
        self._listener.listen()
        self._accepting = asyncio.create_task(self._accept())

    async def stop(self) -> None:
        self._accepting.cancel()
        await asyncio.wait([self._accepting])
        self._listener.close()
        for transport in self._open.copy():
            transport.abort()
        await self._server.stop(None)
        await self._channel.close()

    async def _accept(self) -> None:
        async with asyncio.TaskGroup() as connections:
            while True:
                connection, _ = await asyncio.get_running_loop().sock_accept(self._listener)
                connections.create_task(self._connect(connection))

    async def _connect(self, connection: socket.socket) -> None:
        """Connect what has connected here with what it is for."""
        loop = asyncio.get_running_loop()
        with suppress(OSError), ExitStack() as unless_connected:
            unless_connected.enter_context(connection)
            # Terraform opens some connections only to see that it could.
            if beginning := await loop.sock_recv(connection, 2**16):
                goal = self._server_socket if self._is_first(connection) else self._provider
                _, far = await loop.create_unix_connection(lambda: _End(self._open), goal)
                far.transport.write(beginning)
                await loop.connect_accepted_socket(lambda: _End(self._open, far), connection)
                unless_connected.pop_all()

    def _is_first(self, connection: socket.socket) -> bool:
        """Whether a connection is the first of its process; where that cannot be told, any could be."""
        if not hasattr(socket, "SO_PEERCRED"):
            return True
        credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        process, *_ = _CREDENTIALS.unpack(credentials)
        is_first = process not in self._known
        self._known.add(process)
        return is_first


class _End(asyncio.Protocol):
    """One end of two connections that are one. HTTP/2 sees to it that no more is under way than the other end wants."""

    transport: asyncio.Transport

    def __init__(self, opened: set[asyncio.Transport], other: "_End | None" = None) -> None:
        self._early = b""
        self._open = opened
        self._other = other

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self._open.add(self.transport)
        if self._other is not None:
            self._other.meet(self)

    def meet(self, other: "_End") -> None:
        """Pass on to the other end what has come before that was there."""
        self._other = other
        if self.transport.is_closing():
            other.transport.close()
        else:
            other.transport.write(self._early)

    def data_received(self, data: bytes) -> None:
        if self._other is None:
            self._early += data
        elif not self._other.transport.is_closing():
            self._other.transport.write(data)

    def connection_lost(self, error: Exception | None) -> None:
        self._open.remove(self.transport)
        if self._other is not None:
            self._other.transport.close()


class _Handler(grpc.GenericRpcHandler):
    """Answers for the schema, and passes on all other requests as streams, which each of them could be."""

    def __init__(self, channel: grpc.aio.Channel, schema: Path) -> None:
        self._channel = channel
        self._schema = schema

    def service(self, details: grpc.HandlerCallDetails) -> "grpc.RpcMethodHandler[bytes, bytes]":
        if details.method == _GET_SCHEMA:
            return grpc.unary_unary_rpc_method_handler(self._get_schema)

        async def pass_on(requests: AsyncIterator[bytes], context: _Context) -> AsyncIterator[bytes]:
            method: grpc.aio.StreamStreamMultiCallable[bytes, bytes] = self._channel.stream_stream(details.method)
            call = method(requests)
            try:
                async for answer in call:
                    yield answer
            except grpc.aio.AioRpcError as error:
                await _fail_like(error, context)
            finally:
                call.cancel()

        return grpc.stream_stream_rpc_method_handler(pass_on)

    async def _get_schema(self, request: bytes, context: _Context) -> bytes:
        if not self._schema.exists():
            method: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = self._channel.unary_unary(_GET_SCHEMA)
            try:
                schema = await method(request)
            except grpc.aio.AioRpcError as error:
                await _fail_like(error, context)
            # Whole or not there, however many write it at once.
            unfinished = self._schema.with_suffix(f".{uuid.uuid4()}")
            unfinished.write_bytes(narrowed(schema, named_types()))
            unfinished.rename(self._schema)
        return self._schema.read_bytes()


async def _fail_like(error: grpc.aio.AioRpcError, context: _Context) -> NoReturn:
    await context.abort(error.code(), error.details() or "", tuple(error.trailing_metadata()))

"""The HTTP server in the endpoint's container: SageMaker's ``GET /ping`` and ``POST /invocations``."""

import asyncio
import logging
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import orjson
import uvicorn
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from embedstack.errors import EmbedStackError
from embedstack.serving.protocol import Answer, RequestError

if TYPE_CHECKING:
    from collections.abc import Callable

    from embedstack.serving.encoder import Encoder
    from embedstack.serving.protocol import WireProtocol

__all__ = ["ModelServer"]

_logger = logging.getLogger(__name__)

# Requests that wait for the processor at most; more are answered 429, so that memory stays bounded and a caller
# learns at once to slow down.
_MAX_PENDING_REQUESTS = 512
_WORKERS = 8
# SageMaker kills a container 30 s after SIGTERM; what is in flight gets less than that to finish.
_DRAIN_SECONDS = 25


class ModelServer:
    """Loads a model in the background and answers requests once it is there.

    Attributes:
        app: The ASGI application.
    """

    def __init__(self, load: "Callable[[], Encoder]", protocol: "WireProtocol") -> None:
        """Prepare a server.

        Args:
            load: Loads the encoder; may raise :class:`EmbedStackError`.
            protocol: How the server speaks.
        """
        self._load = load
        self._protocol = protocol
        self._encoder: Encoder | None = None
        self._pending = 0
        self._workers = ThreadPoolExecutor(_WORKERS, thread_name_prefix="invocation")
        routes = [
            Route("/ping", self._ping, methods=["GET"]),
            Route("/invocations", self._invocations, methods=["POST"]),
        ]
        self.app = Starlette(routes=routes)

    def load_model(self) -> None:
        """Load the model; ``/ping`` answers 200 from then on.

        Raises:
            EmbedStackError: The model cannot be served.
        """
        self._encoder = self._load()

    def run(self, host: str, port: int) -> int:
        """Serve until SIGTERM or SIGINT, then let requests in flight finish.

        The port is open while the model loads, so that ``/ping`` can say 503.

        Returns:
            The process's exit status: 0, or 1 when the model could not be loaded.
        """
        config = uvicorn.Config(
            self.app,
            host=host,
            port=port,
            access_log=False,
            log_config=None,
            server_header=False,
            timeout_graceful_shutdown=_DRAIN_SECONDS,
        )
        server = uvicorn.Server(config)
        failed = threading.Event()

        def load() -> None:
            try:
                self.load_model()
            except EmbedStackError as error:
                _logger.error("cannot serve the model: %s", error)  # noqa: TRY400 - the message says all there is
                failed.set()
            except Exception:
                _logger.exception("cannot serve the model")
                failed.set()
            server.should_exit = failed.is_set()

        threading.Thread(target=load, name="load-model", daemon=True).start()
        for number in (signal.SIGTERM, signal.SIGINT):
            # uvicorn raises a signal once more when it has shut down; that one must not change the exit status.
            signal.signal(number, lambda *_: None)
        server.run()
        return int(failed.is_set())

    async def _ping(self, _: Request) -> Response:
        if self._encoder is None:
            return Response(status_code=503, headers={"Retry-After": "1"})
        folder = self._encoder.folder
        info = {
            "model_id": folder.model_id,
            "dimensions": folder.dimensions,
            "max_tokens": folder.max_tokens,
            "pooling": folder.pooling,
            "precision": self._encoder.precision,
        }
        return Response(orjson.dumps(info), media_type="application/json")

    async def _invocations(self, request: Request) -> Response:
        started = time.perf_counter()
        try:
            answer = await self._answer(request)
            headers = {}
        except RequestError as error:
            answer = self._protocol.render_error(error)
            headers = {} if error.retry_after is None else {"Retry-After": str(error.retry_after)}
        milliseconds = (time.perf_counter() - started) * 1000
        _logger.info("POST /invocations %d %d bytes %.1f ms", answer.status, len(answer.body), milliseconds)
        return Response(answer.body, answer.status, headers, answer.media_type)

    async def _answer(self, request: Request) -> Answer:
        if self._encoder is None:
            raise RequestError(503, "not_ready", "The model is still loading; try again in a second.", retry_after=1)
        if self._pending >= _MAX_PENDING_REQUESTS:
            raise RequestError(
                429, "overloaded", f"{self._pending} requests are waiting; send fewer at once.", retry_after=1
            )
        self._pending += 1
        try:
            body = await self._read_body(request)
            accept = request.headers.get("accept")
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._workers, self._protocol.answer, self._encoder, body, accept)
        except EmbedStackError as error:
            raise RequestError.from_error(error) from error
        finally:
            self._pending -= 1

    async def _read_body(self, request: Request) -> bytes:
        """The whole body, refused as soon as it is known to be too large."""
        limit = self._protocol.payload_limit
        body = bytearray()
        try:
            async for chunk in request.stream():
                body += chunk
                if len(body) > limit:
                    raise RequestError(413, "payload_too_large", f"The body is over the limit of {limit} bytes.")
        except ClientDisconnect:
            raise RequestError(
                400, "client_disconnected", "The client went away before its request was whole."
            ) from None
        return bytes(body)

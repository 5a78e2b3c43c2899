"""How each container image's server speaks, on top of our own model server.

Runs in the container's process only: this brings OpenVINO.
"""

from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from embedstack.localaws.dialects.huggingface import HuggingFaceDialect
from embedstack.localaws.dialects.tei import TeiDialect
from embedstack.serving.encoder import Encoder
from embedstack.serving.protocol import Answer, EmbedProtocol
from embedstack.serving.server import ModelServer

if TYPE_CHECKING:
    from embedstack.localaws.images import Dialect

__all__ = ["open_server"]

_Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
_Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
_Asgi = Callable[[MutableMapping[str, Any], _Receive, _Send], Awaitable[None]]


class _ChecksContentType(Protocol):
    """A dialect that looks at the request's Content-Type before it looks at its body."""

    def refuse_content_type(self, content_type: str) -> Answer | None:
        """The answer to a request of that type, or None for a type that it reads."""


@dataclass(frozen=True, slots=True)
class _ContentTypeGate:
    """Refuses an invocation by its Content-Type; our own server reads any."""

    app: _Asgi
    dialect: _ChecksContentType

    async def __call__(self, scope: MutableMapping[str, Any], receive: _Receive, send: _Send) -> None:
        if scope["type"] == "http" and scope["path"] == "/invocations":
            headers = dict(scope["headers"])
            answer = self.dialect.refuse_content_type(headers.get(b"content-type", b"").decode("latin-1"))
            if answer is not None:
                await _drain(receive)
                content_type = (b"content-type", answer.media_type.encode())
                await send({"type": "http.response.start", "status": answer.status, "headers": [content_type]})
                await send({"type": "http.response.body", "body": answer.body})
                return
        await self.app(scope, receive, send)


async def _drain(receive: _Receive) -> None:
    """Read the body to its end, so that the connection can be used again."""
    while True:
        message = await receive()
        if message["type"] != "http.request" or not message.get("more_body"):
            return


def open_server(dialect: "Dialect", model_folder: str, model_id: str) -> tuple[ModelServer, _Asgi]:
    """A model server that speaks as the container would, and the ASGI application to serve.

    The model is not loaded yet: ``ModelServer.load_model`` does it.
    """
    folder = Path(model_folder)
    match dialect:
        case "tei":
            tei = TeiDialect()
            server = ModelServer(lambda: Encoder.load(folder, model_id=model_id), tei)
            return server, _ContentTypeGate(server.app, tei)
        case "huggingface":
            toolkit = HuggingFaceDialect()
            server = ModelServer(lambda: toolkit.load(folder, model_id), toolkit)
            return server, _ContentTypeGate(server.app, toolkit)
        case "embedstack":
            server = ModelServer(lambda: Encoder.load(folder, model_id=model_id), EmbedProtocol())
            return server, server.app

"""``/_embedstack/queues``: the queues of all accounts and regions, and their messages, without changing them."""

import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from moto.sqs.models import sqs_backends

from localaws.core.paths import QUEUES_PATH
from localaws.core.wsgi import send_json
from localaws.services.sqs.message_queue import MessageQueue

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

__all__ = ["QueueInspection"]

_DEFAULT_MESSAGES = 100
_LIMIT = re.compile("[0-9]{1,9}")


class QueueInspection:
    """Responds to ``GET /_embedstack/queues`` and ``GET /_embedstack/queues/<name>/messages``.

    The query parameters ``account`` and ``region`` select queues, and ``limit`` the number of messages (default: 100).
    """

    def __init__(self, application: "WSGIApplication") -> None:
        """Wrap an application."""
        self._application = application

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Handle one request."""
        path = environ.get("PATH_INFO", "")
        if path != QUEUES_PATH and not path.startswith(f"{QUEUES_PATH}/"):
            return self._application(environ, start_response)
        if environ["REQUEST_METHOD"] != "GET":
            document = {"error": "Read queues with GET."}
            return send_json(start_response, "405 Method Not Allowed", document, [("Allow", "GET")])
        parameters = {name: values[-1] for name, values in parse_qs(environ.get("QUERY_STRING", "")).items()}
        queues = list(_queues(parameters))
        if path == QUEUES_PATH:
            return send_json(start_response, "200 OK", {"queues": [_describe(queue) for queue in queues]})
        name, _, rest = path.removeprefix(f"{QUEUES_PATH}/").partition("/")
        limit = parameters.get("limit", str(_DEFAULT_MESSAGES))
        if rest != "messages" or not _LIMIT.fullmatch(limit):
            document = {"error": f"Send GET {QUEUES_PATH}/<name>/messages?limit=<number>."}
            return send_json(start_response, "400 Bad Request", document)
        named = [queue for queue in queues if queue.name == name]
        if not named:
            document = {"error": f"No queue {name[:80]!r}. GET {QUEUES_PATH} lists the queues."}
            return send_json(start_response, "404 Not Found", document)
        if len(named) > 1:
            document = {"error": f"{len(named)} queues have this name. Select one with account and region."}
            return send_json(start_response, "400 Bad Request", document)
        messages = [_describe_message(message) for message in _messages(named[0])[: int(limit)]]
        return send_json(start_response, "200 OK", {**_describe(named[0]), "messages": messages})


def _queues(parameters: dict[str, str]) -> Iterator[Any]:
    for account_id, region, backend in list(sqs_backends.iter_backends()):
        if parameters.get("account", account_id) == account_id and parameters.get("region", region) == region:
            yield from list(backend.queues.values())


def _messages(queue: Any) -> list[Any]:
    """All messages, the oldest first."""
    messages = queue.messages_now() if isinstance(queue, MessageQueue) else list(queue._messages)  # noqa: SLF001 - moto has no public access
    return sorted(messages, key=lambda message: float(message.sent_timestamp))


def _describe(queue: Any) -> dict[str, Any]:
    states = [_state(message) for message in _messages(queue)]
    return {
        "name": queue.name,
        "account": queue.account_id,
        "region": queue.region,
        "arn": queue.queue_arn,
        **{state: states.count(state) for state in ("visible", "in_flight", "delayed")},
        "dead_letter_queue": (queue.redrive_policy or {}).get("deadLetterTargetArn"),
    }


def _describe_message(message: Any) -> dict[str, Any]:
    """A message; its receipt handles are left out, since they would let a reader delete it."""
    return {
        "id": message.id,
        "state": _state(message),
        "body": message.body,
        "attributes": {
            name: str(value.get("StringValue") or value.get("BinaryValue"))
            for name, value in message.message_attributes.items()
        },
        "sent": _timestamp(float(message.sent_timestamp)),
        "visible_at": _timestamp(max(message.visible_at, message.delayed_until)),
        "receive_count": message.approximate_receive_count,
        "source_queue": getattr(message, "source_queue_arn", None),
    }


def _state(message: Any) -> str:
    now = datetime.now(UTC).timestamp() * 1000
    if message.delayed_until > now:
        return "delayed"
    return "in_flight" if message.visible_at > now else "visible"


def _timestamp(milliseconds: float) -> str:
    return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="milliseconds")

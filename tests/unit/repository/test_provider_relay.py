"""The relay between Terraform and its provider, in front of a provider that answers each request with the request."""

import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import grpc
import pytest

from tests.support.provider_relay import relayed
from tests.support.provider_schema import named_types, narrowed

SCHEMA, OTHER, FAILING = "/tfplugin5.Provider/GetSchema", "/tfplugin5.Provider/ReadResource", "/plugin.Broker/Fail"
SIZE = 5_000_000


def field(number: int, value: bytes) -> bytes:
    assert len(value) < 0x80
    return bytes([number << 3 | 2, len(value)]) + value


def by_type(number: int, name: str) -> bytes:
    return field(number, field(1, name.encode()) + field(2, b"whatever"))


KEPT = [field(1, b"the provider"), by_type(2, "aws_s3_bucket"), by_type(3, "aws_region"), by_type(7, "arn_parse")]
WHOLE = b"".join([*KEPT, *(by_type(number, "aws_" + "no_such_thing") for number in (2, 3, 8, 9))])


class Provider(grpc.GenericRpcHandler):
    def __init__(self) -> None:
        self.asked: list[str] = []

    def service(self, details: grpc.HandlerCallDetails) -> "grpc.RpcMethodHandler[bytes, bytes]":
        def answer(request: bytes, context: grpc.ServicerContext) -> bytes:
            self.asked.append(details.method)
            if details.method == FAILING:
                context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "no more of it")
            return WHOLE if details.method == SCHEMA else request

        return grpc.unary_unary_rpc_method_handler(answer)


@pytest.fixture
def provider(tmp_path: Path) -> Iterator[Provider]:
    provider = Provider()
    unlimited = [("grpc.max_receive_message_length", -1)]
    server = grpc.server(ThreadPoolExecutor(2), handlers=[provider], options=unlimited)
    server.add_insecure_port(f"unix:{tmp_path}/provider")
    server.start()
    yield provider
    server.stop(None).wait()


def ask(relay: str, method: str, request: bytes = b"") -> bytes:
    """Ask by a connection of one's own."""
    options = [("grpc.use_local_subchannel_pool", 1), ("grpc.max_receive_message_length", -1)]
    with grpc.insecure_channel(f"unix:{relay}", options=options) as channel:
        call: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(method)
        return call(request)


def test_the_schema_is_asked_for_once_and_then_known(provider: Provider, tmp_path: Path) -> None:
    for _ in range(2):
        with relayed(f"{tmp_path}/provider", tmp_path / "schema") as relay:
            assert ask(relay, SCHEMA) == b"".join(KEPT)
    assert provider.asked == [SCHEMA]


def test_all_else_is_passed_on_by_the_first_connection_and_by_others(provider: Provider, tmp_path: Path) -> None:
    with relayed(f"{tmp_path}/provider", tmp_path / "schema") as relay:
        assert [ask(relay, OTHER, bytes(SIZE)) == bytes(SIZE) for _ in range(2)] == [True, True]
    assert provider.asked == [OTHER, OTHER]


def test_errors_are_passed_on_by_the_first_connection_and_by_others(provider: Provider, tmp_path: Path) -> None:
    with relayed(f"{tmp_path}/provider", tmp_path / "schema") as relay:
        for _ in range(2):
            with pytest.raises(grpc.RpcError) as caught:
                ask(relay, FAILING)
            assert caught.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
            assert caught.value.details() == "no more of it"


def test_a_provider_that_is_gone_is_told_of(tmp_path: Path) -> None:
    with relayed(f"{tmp_path}/provider", tmp_path / "schema") as relay:
        for _ in range(2):
            with pytest.raises(grpc.RpcError) as caught:
                ask(relay, OTHER)
            assert caught.value.code() == grpc.StatusCode.UNAVAILABLE


def test_it_stops_whatever_is_connected(provider: Provider, tmp_path: Path) -> None:
    with ExitStack() as later, relayed(f"{tmp_path}/provider", tmp_path / "schema") as relay:
        for beginning in (b"", b"PRI * HTTP/2.0", b"PRI * HTTP/2.0"):
            connection = later.enter_context(socket.socket(socket.AF_UNIX))
            connection.connect(relay)
            connection.send(beginning)
        ask(relay, OTHER)
    assert not Path(relay).parent.exists()
    assert "provider relay" not in {thread.name for thread in threading.enumerate()}


def test_types_are_those_of_the_code() -> None:
    assert {"aws_cloudformation_stack", "aws_sagemaker_endpoint", "aws_s3_bucket"} <= named_types()
    assert narrowed(WHOLE, named_types()) == b"".join(KEPT)

"""Command line of the model server: ``python -m embedstack_server MODEL_FOLDER``."""

import argparse
import logging
import os
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from embedstack_server.compute.loading import load_model
from embedstack_server.http.protocol import EmbedProtocol
from embedstack_server.http.server import ModelServer
from embedstack_server.model.manifest import model_identity
from embedstack_server.model.precision import PrecisionSetting

if TYPE_CHECKING:
    from embedstack_server.compute.cross_encoder import CrossEncoder
    from embedstack_server.compute.encoder import Encoder


def main() -> int:
    """Serve a model folder until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(prog="python -m embedstack_server", description=__doc__)
    parser.add_argument("model", type=Path, help="folder of an embedding model or a cross-encoder")
    parser.add_argument("--model-id", help="model name to report (default: the folder's own)")
    parser.add_argument("--revision", help="Hub commit to report (default: the manifest's)")
    parser.add_argument("--precision", choices=get_args(PrecisionSetting), default="auto")
    parser.add_argument(
        "--device",
        default=os.environ.get("EMBEDDING_DEVICE") or "cpu",
        help="cpu, auto, or a torch device such as cuda, which needs the extra torch; EMBEDDING_DEVICE by default",
    )
    parser.add_argument(
        "--host", default="127.0.0.1", help="address to listen on; a container needs 0.0.0.0 (default: %(default)s)"
    )
    parser.add_argument(
        "--port",
        type=int,
        default=8080,
        help="port to listen on (default: %(default)s, as SageMaker requires)",
    )
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")

    def load() -> "Encoder | CrossEncoder":
        return load_model(
            arguments.model, model_id=arguments.model_id, precision=arguments.precision, device=arguments.device
        )

    protocol = EmbedProtocol(model_identity(arguments.model, arguments.model_id, arguments.revision))
    try:
        listener = socket.create_server((arguments.host, arguments.port), backlog=1024)
    except (OSError, OverflowError) as error:
        problem = getattr(error, "strerror", None) or str(error).rstrip(".")
        parser.error(f"cannot listen on {arguments.host}:{arguments.port}: {problem}. Use another --host or --port.")
    with listener:
        return ModelServer(load, protocol).run(listener)


if __name__ == "__main__":
    sys.exit(main())

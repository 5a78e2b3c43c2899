"""``python -m embedstack_server MODEL_FOLDER``: the model server, as a container starts it."""

import argparse
import logging
import socket
import sys
from pathlib import Path
from typing import get_args

from embedstack_server.compute.encoder import Encoder
from embedstack_server.http.protocol import EmbedProtocol
from embedstack_server.http.server import ModelServer
from embedstack_server.model.manifest import model_identity
from embedstack_server.model.precision import PrecisionSetting


def main() -> int:
    """Serve a model folder until told to stop."""
    parser = argparse.ArgumentParser(prog="python -m embedstack_server", description=__doc__)
    parser.add_argument("model", type=Path, help="sentence-transformers model folder")
    parser.add_argument("--model-id", help="the name to report; the folder's own otherwise")
    parser.add_argument("--revision", help="the Hub's commit to report; the manifest's otherwise")
    parser.add_argument("--precision", choices=get_args(PrecisionSetting), default="auto")
    parser.add_argument("--host", default="127.0.0.1", help="0.0.0.0 inside a container")
    parser.add_argument("--port", type=int, default=8080, help="SageMaker's containers listen on 8080")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")

    def load() -> Encoder:
        return Encoder.load(arguments.model, model_id=arguments.model_id, precision=arguments.precision)

    protocol = EmbedProtocol(model_identity(arguments.model, arguments.model_id, arguments.revision))
    with socket.create_server((arguments.host, arguments.port), backlog=1024) as listener:
        return ModelServer(load, protocol).run(listener)


if __name__ == "__main__":
    sys.exit(main())

"""The protocols of container images, on top of embedstack's model server.

Imported in containers' processes only, since it loads OpenVINO.
"""

import os
from pathlib import Path
from typing import TYPE_CHECKING

from embedstack.models.local_files import is_hub_id
from embedstack_server.compute.encoder import Encoder
from embedstack_server.http.protocol import EmbedProtocol
from embedstack_server.http.server import ModelServer
from embedstack_server.model.manifest import model_identity
from localaws.services.sagemaker.containers.protocols.huggingface import HuggingFaceProtocol
from localaws.services.sagemaker.containers.protocols.tei import TeiProtocol

if TYPE_CHECKING:
    from localaws.services.sagemaker.containers.images import ServerProtocol

__all__ = ["model_server"]


def model_server(protocol: "ServerProtocol", model_folder: str, model_id: str) -> ModelServer:
    """A model server with a container image's protocol. It loads its model when it runs."""
    folder = Path(model_folder)

    def load() -> Encoder:
        return Encoder.load(folder, model_id=model_id)

    match protocol:
        case "tei":
            return ModelServer(load, TeiProtocol())
        case "huggingface":
            toolkit = HuggingFaceProtocol()
            return ModelServer(lambda: toolkit.load(folder, model_id), toolkit)
        case "embedstack":
            # The given id of an artifact is its URL.
            hub_id, revision = (os.environ.get(name) for name in ("HF_MODEL_ID", "HF_MODEL_REVISION"))
            given = hub_id if hub_id and is_hub_id(hub_id) else None
            return ModelServer(load, EmbedProtocol(model_identity(folder, given, revision)))

"""The protocols of container images, on top of embedstack's model server.

Imported in containers' processes only, since it loads OpenVINO.
"""

import os
from pathlib import Path
from typing import TYPE_CHECKING

from embedstack.models.local_files import is_hub_id
from embedstack_server.compute.loading import load_model
from embedstack_server.http.protocol import EmbedProtocol
from embedstack_server.http.server import ModelServer
from embedstack_server.model.manifest import model_identity
from localaws.services.sagemaker.containers.protocols.huggingface import HuggingFaceProtocol
from localaws.services.sagemaker.containers.protocols.tei import TeiProtocol
from localaws.services.sagemaker.containers.tei_settings import TeiRelease, TeiSettings

if TYPE_CHECKING:
    from embedstack_server.compute.cross_encoder import CrossEncoder
    from embedstack_server.compute.encoder import Encoder
    from localaws.services.sagemaker.containers.images import ServerProtocol

__all__ = ["model_server"]


def model_server(protocol: "ServerProtocol", model_folder: str, model_id: str) -> ModelServer:
    """A model server with a container image's protocol. It loads its model when it runs."""
    folder = Path(model_folder)

    def load() -> "Encoder | CrossEncoder":
        return load_model(folder, model_id=model_id)

    match protocol:
        case "tei-1.8" | "tei-1.9":
            release: TeiRelease = "1.8" if protocol == "tei-1.8" else "1.9"
            tei = TeiProtocol(TeiSettings.from_environment(release, os.environ))
            return ModelServer(lambda: tei.prepare(load()), tei)
        case "huggingface":
            toolkit = HuggingFaceProtocol()
            return ModelServer(lambda: toolkit.load(folder, model_id), toolkit)
        case "embedstack":
            # The given id of an artifact is its URL.
            hub_id, revision = (os.environ.get(name) for name in ("HF_MODEL_ID", "HF_MODEL_REVISION"))
            given = hub_id if hub_id and is_hub_id(hub_id) else None
            return ModelServer(load, EmbedProtocol(model_identity(folder, given, revision)))

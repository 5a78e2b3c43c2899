"""The size of images in the local ECR, for the limit of serverless endpoints."""

import json
import re

from moto.ecr.models import ecr_backends

from localaws.services.sagemaker.containers.images import ProvisioningError

__all__ = ["check_image_size"]

#: Largest image of a serverless endpoint in bytes (developer guide, "Serverless Inference": 10 GB).
_SERVERLESS_IMAGE_BYTES = 10 * 1024**3
_IMAGE = re.compile(
    r"(?P<account>\d{12})\.dkr\.ecr\.(?P<region>[a-z0-9-]+)\.amazonaws\.com(?:\.cn)?/(?P<repository>[^:@]+)"
    r"(?::(?P<tag>[^@]+))?(?:@(?P<digest>.+))?"
)


def check_image_size(image: str) -> None:
    """Check the image of a serverless endpoint. An image that is not in the local ECR has no known size.

    Args:
        image: ECR image URI.

    Raises:
        ProvisioningError: It is too large.
    """
    size = _image_bytes(image)
    if size is not None and size > _SERVERLESS_IMAGE_BYTES:
        raise ProvisioningError(f"Image size {size} is greater than supported size {_SERVERLESS_IMAGE_BYTES}")


def _image_bytes(image: str) -> int | None:
    """The sizes of the manifest's configuration and layers; None for an unknown image."""
    match = _IMAGE.fullmatch(image)
    if match is None:
        return None
    repository = ecr_backends[match["account"]][match["region"]].repositories.get(match["repository"])
    for stored in repository.images if repository is not None else ():
        if match["digest"] == stored.get_image_digest() or (match["tag"] or "latest") in stored.image_tags:
            manifest = json.loads(stored.image_manifest)
            parts = [manifest.get("config", {}), *manifest.get("layers", [])]
            return sum(int(part.get("size", 0)) for part in parts)
    return None

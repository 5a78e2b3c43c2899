"""The images that Terraform picks are those that the SageMaker SDK would."""

import re

import pytest
from sagemaker.core import image_uris

INSTANCES = {"cpu": "ml.c5.xlarge", "gpu": "ml.g5.xlarge"}


def sdk_image(container, hardware, region, tag):
    """The SDK's image of the release that a tag names."""
    if container == "tei":
        framework, version, options = ("huggingface-tei-cpu" if hardware == "cpu" else "huggingface-tei"), "tei", {}
    else:
        framework, version = "huggingface", "transformers"
        options = {"base_framework_version": f"pytorch{tag.split('-')[0]}"}
    return image_uris.retrieve(
        framework,
        region,
        version=re.search(rf"-{version}([\d.]+)-", tag)[1],
        instance_type=INSTANCES[hardware],
        image_scope="inference",
        **options,
    )


def sdk_regions(framework, version, *path):
    release = image_uris.config_for_framework(framework)["inference"]["versions"][version]
    for key in path:
        release = release[key]
    return set(release["registries"])


@pytest.mark.parametrize("hardware", ["cpu", "gpu"])
@pytest.mark.parametrize("container", ["huggingface", "tei"])
def test_images_equal_those_of_the_sdk_in_every_region(terraform_images, container, hardware):
    ours = {key: uri for key, uri in terraform_images.items() if key.startswith(f"{container}/{hardware}/")}
    theirs = {
        key: sdk_image(container, hardware, key.rpartition("/")[2], uri.rpartition(":")[2]) for key, uri in ours.items()
    }
    assert ours
    assert ours == theirs


def test_module_supports_every_region_of_the_sdk(terraform_images):
    offered = {key.rpartition("/")[2] for key in terraform_images}
    tags = {key.rpartition("/")[0]: uri.rpartition(":")[2] for key, uri in terraform_images.items()}
    tei = re.search(r"-tei([\d.]+)-", tags["tei/cpu"])[1]
    pytorch, transformers = re.search(r"^([\d.]+)-transformers([\d.]+)-", tags["huggingface/cpu"]).groups()
    assert offered == sdk_regions("huggingface-tei", tei)
    assert offered == sdk_regions("huggingface-tei-cpu", tei)
    assert offered == sdk_regions("huggingface", transformers, f"pytorch{pytorch}")

"""What the SageMaker SDK's tests share: a local AWS beside them, and what Terraform says of the images.

They run in an environment of the SDK's own (`make test-compat`), without this product installed:
EMBEDSTACK_PYTHON is the interpreter that has it, EMBEDSTACK_PLUGIN_DIR a mirror of Terraform's provider or nothing.
"""

import json
import os
import subprocess
import time
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[3]
IMAGES = REPOSITORY / "terraform" / "modules" / "container-images"
#: A provider per partition: by its region it knows the domain of the partition's registries.
PARTITIONS = {
    "aws": "us-east-1",
    "cn": "cn-north-1",
    "us-gov": "us-gov-west-1",
    "us-iso": "us-iso-east-1",
    "us-isob": "us-isob-east-1",
}
PROVIDER = """
provider "aws" {{
  alias                       = "{name}"
  access_key                  = "test"
  region                      = "{region}"
  secret_key                  = "test"
  skip_credentials_validation = true
  skip_requesting_account_id  = true
}}

data "aws_sagemaker_prebuilt_ecr_image" "{name}" {{
  provider = aws.{name}
  for_each = {{ for key, asked in local.asked : key => asked if local.partitions[asked.region] == "{name}" }}

  image_tag       = each.value.tag
  region          = each.value.region
  repository_name = each.value.repository
}}
"""
ROOT = """
module "container_images" {{
  source = "{source}"
}}

locals {{
  asked = merge(flatten([
    for container, images in module.container_images.images : [
      for hardware, image in images : {{
        for region in module.container_images.regions :
        "${{container}}/${{hardware}}/${{region}}" => merge(image, {{ region = region }})
      }}
    ]
  ])...)
  partitions = {{
    for region in module.container_images.regions : region =>
    try(regex("^(cn|us-gov|us-isob|us-iso)-", region)[0], "aws")
  }}
}}

output "images" {{
  value = {{ for key, image in merge({merged}) : key => image.registry_path }}
}}
"""


@pytest.fixture(scope="session")
def terraform_images(tmp_path_factory):
    """URIs that Terraform picks, by container/hardware/region."""
    folder = tmp_path_factory.mktemp("images")
    parts = [PROVIDER.format(name=name, region=region) for name, region in PARTITIONS.items()]
    merged = ", ".join(f"data.aws_sagemaker_prebuilt_ecr_image.{name}" for name in PARTITIONS)
    (folder / "main.tf").write_text("".join(parts) + ROOT.format(source=IMAGES, merged=merged))
    for name in ("versions.tf", ".terraform.lock.hcl"):
        (folder / name).write_text((REPOSITORY / "terraform" / name).read_text())
    mirror = os.environ.get("EMBEDSTACK_PLUGIN_DIR")
    terraform(folder, "init", "-input=false", *([f"-plugin-dir={mirror}"] if mirror else []))
    terraform(folder, "plan", "-input=false", "-out=plan")
    plan = json.loads(terraform(folder, "show", "-json", "plan"))
    return plan["planned_values"]["outputs"]["images"]["value"]


@pytest.fixture(scope="session")
def local_aws(tmp_path_factory):
    """A local AWS in a process of its own; the SDK finds it by AWS_ENDPOINT_URL."""
    state = tmp_path_factory.mktemp("localaws")
    command = [
        os.environ["EMBEDSTACK_PYTHON"],
        "-m",
        "localaws",
        "--port=0",
        f"--state-dir={state}",
        "--lifeline-fd=0",
    ]
    environment = os.environ | {"LOCALAWS_CHECK_ANSWERS": "1"}
    process = subprocess.Popen(command, cwd=REPOSITORY, env=environment, stdin=subprocess.PIPE)
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port_of(process, state / 'localaws.json')}")
            patch.setenv("AWS_REGION", "us-east-1")
            patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
            patch.setenv("AWS_ACCESS_KEY_ID", "local")
            patch.setenv("AWS_SECRET_ACCESS_KEY", "local")
            yield
    finally:
        process.stdin.close()
        try:
            process.wait(timeout=60)
        finally:
            process.kill()
            process.wait()


def port_of(process, state_file):
    """The port of a local AWS, once it has written its state."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        try:
            return json.loads(state_file.read_text())["port"]
        except (FileNotFoundError, ValueError):
            time.sleep(0.1)
    return pytest.fail("the local AWS did not come up")


def terraform(folder, *arguments):
    command = ["terraform", *arguments, "-no-color"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout

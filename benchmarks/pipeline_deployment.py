"""A document pipeline on a temporary stack: for benchmarks/pipeline.py, and for the tests."""

import json
import os
from collections.abc import Sequence
from pathlib import Path

from pipeline_audit import DeployedPipeline

from embedstack_ops.cli.checkout import client_settings
from embedstack_ops.lambda_packages.wheels import Target
from embedstack_ops.terraform.driver import TerraformRoot

__all__ = ["connect", "variables"]


def variables(packages: Path, ingest: str, subnets: Sequence[str] = ()) -> str:
    """Variables of terraform/ for a pipeline whose functions run on this machine.

    Args:
        packages: The folder with ``ingest.zip`` and ``search.zip``.
        ingest: ``pipeline.ingest``, in Terraform's own words.
        subnets: Of an Aurora cluster for the vectors, and of the functions; without, vectors go to S3 Vectors.
    """
    target = Target.of_this_machine()
    vpc = f"{{ subnet_ids = {json.dumps(list(subnets))} }}"
    aurora, s3_vectors = f"{{ deletion_protection = false, vpc = {vpc} }}", "{ retain = false }"
    return f"""
name        = "alex"
environment = "pipeline"
endpoints = {{
  embedding = {{
    model      = {{ hub_id = "sentence-transformers/all-MiniLM-L6-v2", environment = {{ LOG_LEVEL = "debug" }} }}
    serverless = {{ memory_mb = 2048, max_concurrency = 10 }}
  }}
}}
vector_store = {{ {f"aurora = {aurora}" if subnets else f"s3_vectors = {s3_vectors}"} }}
pipeline = {{
  architecture   = "{target.architecture}"
  python_version = "{target.terraform_python}"
  ingest_package = "{packages / "ingest.zip"}"
  search_package = "{packages / "search.zip"}"
  bucket         = {{ force_destroy = true }}
  ingest         = {ingest}
  vpc            = {vpc if subnets else "null"}
}}
"""


def connect(root: TerraformRoot, visibility_s: int) -> DeployedPipeline:
    """The pipeline that was applied; from now on the environment names its endpoint and store.

    Args:
        root: What it was applied by.
        visibility_s: Seconds after which a message of a function that was killed comes again. Terraform makes it six
            times the function's timeout, as AWS advises where functions are throttled; here nobody has time for that.
    """
    outputs = root.outputs()
    os.environ.update(client_settings(outputs))
    pipeline = DeployedPipeline(outputs)
    attributes = {"VisibilityTimeout": str(visibility_s)}
    pipeline.sqs.set_queue_attributes(QueueUrl=pipeline.parts["queue_url"], Attributes=attributes)
    return pipeline

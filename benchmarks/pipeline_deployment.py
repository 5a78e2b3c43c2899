"""Deployment of a document pipeline on a temporary stack: for benchmarks/document_pipeline.py and tests."""

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
    """Terraform variables of a pipeline whose functions run on this machine.

    Args:
        packages: Folder with ``ingest.zip`` and ``search.zip``.
        ingest: The variable ``pipeline.ingest``, as HCL.
        subnets: Subnets of the functions and an Aurora cluster; without them, vectors are stored in S3 Vectors.
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
    """Connect to a deployed pipeline, and set the environment variables of its endpoint and store.

    Args:
        root: Terraform root module that was applied.
        visibility_s: Visibility timeout in seconds, after which a killed function's messages are received again. It
            replaces Terraform's six times the function's timeout, which AWS recommends, to save time.
    """
    outputs = root.outputs()
    os.environ.update(client_settings(outputs))
    pipeline = DeployedPipeline(outputs)
    attributes = {"VisibilityTimeout": str(visibility_s)}
    pipeline.sqs.set_queue_attributes(QueueUrl=pipeline.parts["queue_url"], Attributes=attributes)
    return pipeline

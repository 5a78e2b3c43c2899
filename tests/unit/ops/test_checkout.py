"""What the operators' commands know of what Terraform applied."""

import pytest

from embedstack.errors import ConfigurationError
from embedstack_ops.cli import checkout, command
from embedstack_ops.terraform.driver import TerraformRoot


@pytest.fixture
def applied(monkeypatch):
    """Sets what Terraform answers."""

    def applied(outputs):
        def answer(_):
            if isinstance(outputs, Exception):
                raise outputs
            return outputs

        monkeypatch.setattr(TerraformRoot, "outputs", answer)

    return applied


ENDPOINTS = {"embedding": {"name": "alex-embedding-endpoint"}, "papers": {"name": "alex-papers-endpoint"}}


@pytest.mark.parametrize("name", ["alex-embedding-endpoint", "alex-papers-endpoint"])
def test_primary_endpoint_is_the_one_in_dotenv(applied, name):
    """With a pipeline that is the pipeline's, even where another one is called embedding."""
    applied({"endpoints": ENDPOINTS, "dotenv": f"AWS_REGION=us-east-1\nSAGEMAKER_ENDPOINT={name}\n"})
    assert checkout.primary_endpoint() == {"name": name}
    assert command.endpoint_settings(None, "us-east-1").sagemaker_endpoint == name


@pytest.mark.parametrize("outputs", [{}, ConfigurationError("terraform is not installed")])
def test_primary_endpoint_is_empty_without_an_apply(applied, outputs):
    applied(outputs)
    assert checkout.primary_endpoint() == {}
    assert checkout.applied_endpoints() == {}
    assert command.endpoint_settings(None, "us-east-1").sagemaker_endpoint is None

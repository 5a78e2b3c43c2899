"""A test of Terraform's own that plans the READMEs' examples by the real provider, without an account."""

import re

__all__ = ["test_of"]

_MODULE = re.compile(r'^module "(\w+)" \{\n  source = "\./modules/([a-z-]+)"\n(.*?)^\}$', re.MULTILINE | re.DOTALL)
_HEAD = """
provider "aws" {
  access_key                  = "test"
  region                      = "us-east-1"
  secret_key                  = "test"
  skip_credentials_validation = true
  skip_requesting_account_id  = true
}

variables {
  hub_token = "hf_example"
}

run "examples" {
  command = plan
}
"""
_OVERRIDE = """
override_data {{
  target = module.{target}
  values = {{ {values} }}
}}
"""
_ACCOUNT = 'account_id = "123456789012"'
#: What AWS would be asked, by the module that asks.
_ASKED = {
    "document-pipeline": {
        "data.aws_caller_identity.current": _ACCOUNT,
        "module.security_group.data.aws_subnet.first": 'vpc_id = "vpc-0123456789abcdef0"',
    },
    "egress-security-group": {"data.aws_subnet.first": 'vpc_id = "vpc-0123456789abcdef0"'},
    "execution-role": {"data.aws_caller_identity.current": _ACCOUNT},
    "health-check": {
        "data.aws_caller_identity.current": _ACCOUNT,
        "module.function.data.aws_caller_identity.current": _ACCOUNT,
    },
    "huggingface-model": {
        "module.execution_role[0].data.aws_caller_identity.current": _ACCOUNT,
        "data.aws_s3_object.artifact": 'content_length = 91226112, etag = "9b2cf535f27731c974343645a3985328"',
        "module.security_group.data.aws_subnet.first": 'vpc_id = "vpc-0123456789abcdef0"',
    },
    "observability": {"data.aws_caller_identity.current": _ACCOUNT},
    "scheduled-function": {"data.aws_caller_identity.current": _ACCOUNT},
    "vector-store": {
        "data.aws_caller_identity.current": _ACCOUNT,
        "data.aws_subnet.first": 'vpc_id = "vpc-0123456789abcdef0"',
    },
}


def test_of(blocks: dict[str, list[str]]) -> str:
    """The test, as HCL.

    Args:
        blocks: The examples by module.
    """
    overrides = [
        _OVERRIDE.format(target=f"{name}.{asked}", values=values)
        for of_module in blocks.values()
        for block in of_module
        for name, source, _ in _MODULE.findall(block)
        for asked, values in _ASKED.get(source, {}).items()
    ]
    return _HEAD + "".join(overrides)

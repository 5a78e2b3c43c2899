"""AWS-managed IAM policies, which moto loads on demand because loading all 1,500 is slow."""

from moto.core.config import default_user_config

__all__ = ["disable_managed_policies", "enable_managed_policies"]


def enable_managed_policies() -> None:
    """Load AWS-managed policies when IAM is first used in an account and partition."""
    default_user_config["iam"]["load_aws_managed_policies"] = True


def disable_managed_policies() -> None:
    """Stop loading policies, as before a reset, for which moto creates each backend only to discard it."""
    default_user_config["iam"]["load_aws_managed_policies"] = False

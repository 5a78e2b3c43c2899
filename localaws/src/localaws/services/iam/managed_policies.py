"""AWS-managed IAM policies, which moto loads on demand because loading all 1,500 is slow."""

from moto.core.config import default_user_config
from moto.iam.models import iam_backends
from moto.utilities.utils import PARTITION_NAMES, get_partition

from localaws.config import ACCOUNT_ID

__all__ = ["disable_managed_policies", "enable_managed_policies"]


def enable_managed_policies(region: str) -> None:
    """Load AWS-managed policies in the partition of a region, when IAM is first used in an account.

    Args:
        region: The region of the local AWS.
    """
    disable_managed_policies()
    partition = get_partition(region)
    # moto looks up access keys in all partitions, and would load the policies for each.
    for other in PARTITION_NAMES:
        if other != partition:
            iam_backends[ACCOUNT_ID][other]
    default_user_config["iam"]["load_aws_managed_policies"] = True


def disable_managed_policies() -> None:
    """Stop loading policies, as before a reset, for which moto creates each backend only to discard it."""
    default_user_config["iam"]["load_aws_managed_policies"] = False

"""The policies that AWS itself manages, some 1,500: IAM has them where they are wanted, which takes moto a while."""

from moto.core.config import default_user_config
from moto.iam.models import iam_backends
from moto.utilities.utils import PARTITION_NAMES, get_partition

from localaws.config import ACCOUNT_ID

__all__ = ["have_managed_policies", "have_no_managed_policies"]


def have_managed_policies(region: str) -> None:
    """Let IAM know them in the partition of a region, and in those accounts that are asked for later.

    moto looks for a caller's access key in all partitions, and would load them for each.

    Args:
        region: The local AWS's.
    """
    have_no_managed_policies()
    partition = get_partition(region)
    for other in PARTITION_NAMES:
        if other != partition:
            iam_backends[ACCOUNT_ID][other]
    default_user_config["iam"]["load_aws_managed_policies"] = True


def have_no_managed_policies() -> None:
    """Load none from now on, as when moto makes each backend anew only to throw it away."""
    default_user_config["iam"]["load_aws_managed_policies"] = False

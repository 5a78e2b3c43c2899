"""Where a database goes on the local AWS: into the VPC that every account begins with."""

from embedstack.aws.clients import create_client
from embedstack.settings.settings import Settings

__all__ = ["default_subnets"]


def default_subnets(settings: Settings) -> list[str]:
    """Subnets in two availability zones of the default VPC, by their ids.

    Args:
        settings: Where AWS is.
    """
    filters = [{"Name": "default-for-az", "Values": ["true"]}]
    subnets = create_client("ec2", settings).describe_subnets(Filters=filters)["Subnets"]
    return [subnet["SubnetId"] for subnet in subnets[:2]]

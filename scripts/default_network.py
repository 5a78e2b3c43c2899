"""The default VPC's subnets, for a database on the local AWS."""

from embedstack.aws.clients import create_client
from embedstack.settings.settings import Settings

__all__ = ["default_subnets"]


def default_subnets(settings: Settings) -> list[str]:
    """Ids of subnets in two availability zones of the default VPC.

    Args:
        settings: Region, credentials and address of AWS.
    """
    filters = [{"Name": "default-for-az", "Values": ["true"]}]
    subnets = create_client("ec2", settings).describe_subnets(Filters=filters)["Subnets"]
    return [subnet["SubnetId"] for subnet in subnets[:2]]

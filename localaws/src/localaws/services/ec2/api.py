"""The Amazon EC2 API: moto's, with descriptions of security group rules that name another group."""

from moto.core.responses import ActionResult
from moto.ec2.responses import EC2Response

__all__ = ["SIMPLIFICATIONS", "Ec2"]

SIMPLIFICATIONS = {"CreateVpc": "Networks are stored and described; there is no network traffic."}


class Ec2(EC2Response):  # type: ignore[misc]  # moto is untyped
    """The EC2 API."""

    def describe_security_group_rules(self) -> ActionResult:
        """DescribeSecurityGroupRules, with the descriptions of rules that name a group."""
        response: ActionResult = super().describe_security_group_rules()
        for rule in response.result["SecurityGroupRules"]:
            if description := rule.source_group.get("Description"):
                # moto returns copies; it stores later changes of the description in the address range.
                rule.ip_range = {"Description": description, **rule.ip_range}
        return response

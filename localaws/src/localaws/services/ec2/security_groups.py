"""EC2 as moto has it, whose security group rules forget their description where they name another group."""

from moto.core.responses import ActionResult
from moto.ec2.responses import EC2Response

__all__ = ["Ec2"]


class Ec2(EC2Response):  # type: ignore[misc]  # moto is untyped
    """Networks are kept and described; nothing passes through them."""

    def describe_security_group_rules(self) -> ActionResult:
        """DescribeSecurityGroupRules: a rule's description, whether it is for addresses or for a group."""
        answer: ActionResult = super().describe_security_group_rules()
        for rule in answer.result["SecurityGroupRules"]:
            if description := rule.source_group.get("Description"):
                # moto answers with copies; what a rule was changed to later lies with the addresses.
                rule.ip_range = {"Description": description, **rule.ip_range}
        return answer

# The security group for containers and functions in a VPC.

mock_provider "aws" {
  source          = "./tests/mocks"
  override_during = plan
}

variables {
  name              = "alex-embedding-endpoint-containers"
  description       = "Containers of the SageMaker endpoint alex-embedding-endpoint"
  https_description = "HTTPS to AWS services"
}

run "group_without_a_vpc" {
  command = plan
  module { source = "./modules/egress-security-group" }

  assert {
    condition     = length(output.security_group_ids) == 0 && !output.created
    error_message = "Without a VPC there must be no group."
  }
}

run "group_that_is_given" {
  command = plan
  module { source = "./modules/egress-security-group" }

  variables {
    vpc = { subnet_ids = ["subnet-1"], security_group_ids = ["sg-1"] }
  }

  assert {
    condition = (
      output.security_group_ids == tolist(["sg-1"]) && !output.created && length(aws_security_group.egress) == 0
    )
    error_message = "A given group must be used, and none created."
  }
}

run "group_that_is_created" {
  command = plan
  module { source = "./modules/egress-security-group" }

  variables {
    vpc = { subnet_ids = ["subnet-1", "subnet-2"] }
  }

  assert {
    condition = (
      aws_security_group.egress[0].name == "alex-embedding-endpoint-containers" &&
      data.aws_subnet.first[0].id == "subnet-1" &&
      output.security_group_ids == tolist([aws_security_group.egress[0].id])
    )
    error_message = "A group must be created in the VPC of the first subnet."
  }
  assert {
    condition = (
      aws_vpc_security_group_egress_rule.https[0].from_port == 443 &&
      aws_vpc_security_group_egress_rule.https[0].to_port == 443 &&
      aws_vpc_security_group_egress_rule.https[0].ip_protocol == "tcp"
    )
    error_message = "The group must allow outbound HTTPS and nothing else."
  }
}

# Plans an environment with the real provider, without calling AWS:
# terraform test -test-directory=tests/environments -var-file=environments/NAME.tfvars

provider "aws" {
  access_key                  = "test"
  region                      = "us-east-1"
  secret_key                  = "test"
  skip_credentials_validation = true
  skip_requesting_account_id  = true
}

override_data {
  target = data.aws_caller_identity.current
  values = { account_id = "123456789012" }
}

override_data {
  target = module.observability.data.aws_caller_identity.current
  values = { account_id = "123456789012" }
}

# One override per key that the environments use; an override cannot address all keys.
override_data {
  target = module.model["batch"].module.execution_role[0].data.aws_caller_identity.current
  values = { account_id = "123456789012" }
}

override_data {
  target = module.model["embedding"].module.execution_role[0].data.aws_caller_identity.current
  values = { account_id = "123456789012" }
}

override_data {
  target = module.model["reranker"].module.execution_role[0].data.aws_caller_identity.current
  values = { account_id = "123456789012" }
}

override_data {
  target = module.model["search"].module.execution_role[0].data.aws_caller_identity.current
  values = { account_id = "123456789012" }
}

override_data {
  target = module.variant_model["search/candidate"].module.execution_role[0].data.aws_caller_identity.current
  values = { account_id = "123456789012" }
}

override_data {
  target = module.document_pipeline[0].data.aws_caller_identity.current
  values = { account_id = "123456789012" }
}

override_data {
  target = module.document_pipeline[0].module.security_group.data.aws_subnet.first[0]
  values = { vpc_id = "vpc-0123456789abcdef0" }
}

override_data {
  target = module.vector_store[0].data.aws_caller_identity.current
  values = { account_id = "123456789012" }
}

override_data {
  target = module.vector_store[0].data.aws_subnet.first[0]
  values = { vpc_id = "vpc-0123456789abcdef0" }
}

run "can_be_planned" {
  command = plan

  assert {
    condition     = join(",", keys(output.endpoint_names)) == join(",", keys(var.endpoints))
    error_message = "Every endpoint must exist."
  }
  assert {
    condition = alltrue([
      for key, endpoint in output.endpoints :
      (
        endpoint.instance_type == null ||
        strcontains(
          endpoint.image_uri,
          can(regex("^ml\\.[gp]", coalesce(endpoint.instance_type, "-"))) ? "-gpu-" : "-cpu-",
        )
      )
    ])
    error_message = "GPU instances must run a GPU image, and the others one for CPUs."
  }
}

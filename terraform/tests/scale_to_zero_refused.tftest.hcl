# Scale-to-zero endpoints that are refused.

mock_provider "aws" {
  source          = "./tests/mocks"
  override_during = plan
}

variables {
  model         = { name = "m", role_arn = "arn:aws:iam::123456789012:role/r" }
  name          = "alex-embedding-endpoint"
  scale_to_zero = { instance_type = "ml.g4dn.xlarge" }
}

run "instance_type_that_does_not_exist" {
  command = plan
  module { source = "./modules/scale-to-zero-endpoint" }

  variables {
    scale_to_zero = { instance_type = "ml.g4dn.large" }
  }

  expect_failures = [var.scale_to_zero]
}

run "neuron_instance_type" {
  command = plan
  module { source = "./modules/scale-to-zero-endpoint" }

  variables {
    scale_to_zero = { instance_type = "ml.inf2.xlarge" }
  }

  expect_failures = [var.scale_to_zero]
}

run "memory_under_the_limit" {
  command = plan
  module { source = "./modules/scale-to-zero-endpoint" }

  variables {
    scale_to_zero = { instance_type = "ml.g5.xlarge", memory_mb = 64 }
  }

  expect_failures = [var.scale_to_zero]
}

run "cores_under_the_limit" {
  command = plan
  module { source = "./modules/scale-to-zero-endpoint" }

  variables {
    scale_to_zero = { instance_type = "ml.c7i.xlarge", cpu_cores = 0 }
  }

  expect_failures = [var.scale_to_zero]
}

run "startup_timeout_of_a_second" {
  command = plan
  module { source = "./modules/scale-to-zero-endpoint" }

  variables {
    scale_to_zero = { instance_type = "ml.g5.xlarge", startup_timeout_s = 1 }
  }

  expect_failures = [var.scale_to_zero]
}

run "maximum_of_zero_copies" {
  command = plan
  module { source = "./modules/scale-to-zero-endpoint" }

  variables {
    scale_to_zero = { instance_type = "ml.g5.xlarge", max = 0 }
  }

  expect_failures = [var.scale_to_zero]
}

run "minimum_over_the_maximum" {
  command = plan
  module { source = "./modules/scale-to-zero-endpoint" }

  variables {
    scale_to_zero = { instance_type = "ml.g5.xlarge", min = 3, max = 2 }
  }

  expect_failures = [var.scale_to_zero]
}

run "gpu_image_on_a_cpu" {
  command = plan
  module { source = "./modules/scale-to-zero-endpoint" }

  variables {
    model = {
      image_uri = "683313688378.dkr.ecr.us-east-1.amazonaws.com/tei:2.0.1-tei1.8.2-gpu-py310-cu122-ubuntu22.04"
      name      = "m"
      role_arn  = "r"
    }
    scale_to_zero = { instance_type = "ml.c7i.xlarge" }
  }

  expect_failures = [aws_cloudformation_stack.embeddings]
}

run "cpu_image_on_a_gpu" {
  command = plan
  module { source = "./modules/scale-to-zero-endpoint" }

  variables {
    model = {
      image_uri = "683313688378.dkr.ecr.us-east-1.amazonaws.com/tei-cpu:2.0.1-tei1.8.2-cpu-py310-ubuntu22.04"
      name      = "m"
      role_arn  = "r"
    }
  }

  expect_failures = [aws_cloudformation_stack.embeddings]
}

run "key_alias" {
  command = plan
  module { source = "./modules/scale-to-zero-endpoint" }

  variables {
    kms_key_arn = "alias/my-key"
  }

  expect_failures = [var.kms_key_arn]
}

run "unsupported_log_retention" {
  command = plan
  module { source = "./modules/scale-to-zero-endpoint" }

  variables {
    log_retention_days = 31
  }

  expect_failures = [var.log_retention_days]
}

run "name_that_begins_with_a_digit" {
  command = plan
  module { source = "./modules/scale-to-zero-endpoint" }

  variables {
    name = "4alex"
  }

  expect_failures = [var.name]
}

run "component_with_an_underscore" {
  command = plan
  module { source = "./modules/scale-to-zero-endpoint" }

  variables {
    component_name = "alex_component"
  }

  expect_failures = [var.component_name]
}

run "configuration_name_too_long" {
  command = plan
  module { source = "./modules/scale-to-zero-endpoint" }

  variables {
    config_name = "abcdefghijklmnopqrstuvwxyz-abcdefghijklmnopqrstuvwxyz-x"
  }

  expect_failures = [var.config_name]
}

run "x86_image_on_graviton" {
  command = plan
  module { source = "./modules/scale-to-zero-endpoint" }

  variables {
    model = {
      image_uri = "683313688378.dkr.ecr.us-east-1.amazonaws.com/tei-cpu:2.0.1-tei1.8.2-cpu-py310-ubuntu22.04"
      name      = "m"
      role_arn  = "r"
    }
    scale_to_zero = { instance_type = "ml.c7g.xlarge" }
  }

  expect_failures = [aws_cloudformation_stack.embeddings]
}

run "tei_on_a_gpu_that_is_too_old" {
  command = plan
  module { source = "./modules/scale-to-zero-endpoint" }

  variables {
    model = {
      image_uri = "683313688378.dkr.ecr.us-east-1.amazonaws.com/tei:2.0.1-tei1.8.2-gpu-py310-cu122-ubuntu22.04"
      name      = "m"
      role_arn  = "r"
    }
    scale_to_zero = { instance_type = "ml.p3.2xlarge" }
  }

  expect_failures = [aws_cloudformation_stack.embeddings]
}

run "instance_type_and_instance_types" {
  command = plan
  module { source = "./modules/scale-to-zero-endpoint" }

  variables {
    scale_to_zero = { instance_type = "ml.g6.xlarge", instance_types = ["ml.g6.xlarge", "ml.g5.xlarge"] }
  }

  expect_failures = [var.scale_to_zero]
}

run "no_instance_type" {
  command = plan
  module { source = "./modules/scale-to-zero-endpoint" }

  variables {
    scale_to_zero = {}
  }

  expect_failures = [var.scale_to_zero]
}

run "pools_with_and_without_a_gpu" {
  command = plan
  module { source = "./modules/scale-to-zero-endpoint" }

  variables {
    scale_to_zero = { instance_types = ["ml.g6.xlarge", "ml.c7i.xlarge"] }
  }

  expect_failures = [var.scale_to_zero]
}

run "provision_timeout_of_a_minute" {
  command = plan
  module { source = "./modules/scale-to-zero-endpoint" }

  variables {
    scale_to_zero = { instance_types = ["ml.g6.xlarge", "ml.g5.xlarge"], provision_timeout_s = 60 }
  }

  expect_failures = [var.scale_to_zero]
}

run "scale_in_after_a_minute" {
  command = plan
  module { source = "./modules/scale-to-zero-endpoint" }

  variables {
    scale_to_zero = { instance_type = "ml.g6.xlarge", scale_in = { cooldown_minutes = 1 } }
  }

  expect_failures = [var.scale_to_zero]
}

run "region_without_scale_to_zero" {
  command = plan
  module { source = "./modules/scale-to-zero-endpoint" }

  override_data {
    target = data.aws_region.current
    values = { endpoint = "ec2.eu-west-3.amazonaws.com" }
  }

  expect_failures = [aws_cloudformation_stack.embeddings]
}

# Root variables that are refused, or that only cause a warning.

mock_provider "aws" {
  source          = "./tests/mocks"
  override_during = plan
}

variables {
  name = "alex"
  endpoints = {
    embedding = {
      model      = { hub_id = "sentence-transformers/all-MiniLM-L6-v2" }
      serverless = {}
    }
  }
}

run "name_with_capitals" {
  command = plan

  variables {
    name = "Alex"
  }

  expect_failures = [var.name]
}

run "name_with_an_underscore" {
  command = plan

  variables {
    name = "alex_dev"
  }

  expect_failures = [var.name]
}

run "environment_with_a_space" {
  command = plan

  variables {
    environment = "my stage"
  }

  expect_failures = [var.environment]
}

run "region_by_its_city" {
  command = plan

  variables {
    aws_region = "Frankfurt"
  }

  expect_failures = [var.aws_region]
}

run "tag_of_awss_own" {
  command = plan

  variables {
    tags = { "aws:team" = "search" }
  }

  expect_failures = [var.tags]
}

run "tag_with_a_bad_character" {
  command = plan

  variables {
    tags = { team = "search?" }
  }

  expect_failures = [var.tags]
}

run "no_endpoint" {
  command = plan

  variables {
    endpoints = {}
  }

  expect_failures = [var.endpoints]
}

run "key_with_an_underscore" {
  command = plan

  variables {
    endpoints = { my_endpoint = { model = { hub_id = "a/b" }, serverless = {} } }
  }

  expect_failures = [var.endpoints]
}

run "key_too_long" {
  command = plan

  variables {
    endpoints = { embedding-of-the-very-long-documents-of-our-archive = { model = { hub_id = "a/b" }, serverless = {} } }
  }

  expect_failures = [var.endpoints]
}

run "two_endpoints_of_one_name" {
  command = plan

  variables {
    endpoints = {
      embedding = { model = { hub_id = "a/b" }, serverless = {} }
      search    = { endpoint_name = "Alex-embedding-endpoint", model = { hub_id = "a/b" }, serverless = {} }
    }
  }

  expect_failures = [var.endpoints]
}

run "no_kind" {
  command = plan

  variables {
    endpoints = { embedding = { model = { hub_id = "a/b" }, endpoint_name = "x" } }
  }

  expect_failures = [var.endpoints]
}

run "kind_that_is_still_to_come" {
  command = plan

  variables {
    endpoints = { embedding = { model = { hub_id = "a/b" }, realtime = { instance_type = "ml.g5.xlarge" } } }
  }

  expect_failures = [var.endpoints]
}

run "two_kinds" {
  command = plan

  variables {
    endpoints = { embedding = { model = { hub_id = "a/b" }, serverless = {}, scale_to_zero = { max = 5 } } }
  }

  expect_failures = [var.endpoints]
}

run "serverless_with_an_instance" {
  command = plan

  variables {
    endpoints = { embedding = { model = { hub_id = "a/b" }, serverless = {}, instance_type = "ml.g4dn.xlarge" } }
  }

  expect_failures = [var.endpoints]
}

run "serverless_with_a_gpu" {
  command = plan

  variables {
    endpoints = { embedding = { model = { hub_id = "a/b", hardware = "gpu" }, serverless = {} } }
  }

  expect_failures = [var.endpoints]
}

run "memory_by_awss_name" {
  command = plan

  variables {
    endpoints = { embedding = { model = { hub_id = "a/b" }, serverless = { memory_size_in_mb = 4096 } } }
  }

  expect_failures = [var.endpoints]
}

run "serverless_in_a_vpc" {
  command = plan

  variables {
    endpoints = { embedding = { model = { hub_id = "a/b" }, serverless = {}, vpc = { subnet_ids = ["subnet-1"], security_group_ids = ["sg-1"] } } }
  }

  expect_failures = [var.endpoints]
}

run "serverless_in_isolation" {
  command = plan

  variables {
    endpoints = { embedding = { model = { hub_id = "a/b" }, serverless = {}, network_isolation = true } }
  }

  expect_failures = [var.endpoints]
}

run "serverless_with_data_capture" {
  command = plan

  variables {
    endpoints = { embedding = { model = { hub_id = "a/b" }, serverless = {}, data_capture = { percentage = 100 } } }
  }

  expect_failures = [var.endpoints]
}

run "token_level_vectors_cause_a_warning" {
  command = plan

  variables {
    endpoints = {
      embedding = { model = { hub_id = "a/b", container = "huggingface" }, serverless = {} }
    }
  }

  expect_failures = [check.pooled_vectors]
}

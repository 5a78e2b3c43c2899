# Settings of real-time endpoints that are refused.

mock_provider "aws" {
  source          = "./tests/mocks"
  override_during = plan
}

variables {
  name     = "alex-embedding-endpoint"
  variants = { AllTraffic = { instance_type = "ml.c7i.xlarge", model = { name = "m" } } }
}

run "unknown_strategy" {
  command = plan
  module { source = "./modules/realtime-endpoint" }

  variables {
    deployment = { strategy = "bluegreen" }
  }

  expect_failures = [var.deployment]
}

run "canary_over_half" {
  command = plan
  module { source = "./modules/realtime-endpoint" }

  variables {
    deployment = { percent = 60 }
  }

  expect_failures = [var.deployment]
}

run "linear_under_a_tenth" {
  command = plan
  module { source = "./modules/realtime-endpoint" }

  variables {
    deployment = { strategy = "linear", percent = 5 }
  }

  expect_failures = [var.deployment]
}

run "bake_over_an_hour" {
  command = plan
  module { source = "./modules/realtime-endpoint" }

  variables {
    deployment = { bake_s = 3601 }
  }

  expect_failures = [var.deployment]
}

run "timeout_over_an_hour" {
  command = plan
  module { source = "./modules/realtime-endpoint" }

  variables {
    deployment = { timeout_s = 3660 }
  }

  expect_failures = [var.deployment]
}

run "timeout_too_short" {
  command = plan
  module { source = "./modules/realtime-endpoint" }

  variables {
    deployment = { timeout_s = 60 }
  }

  expect_failures = [var.deployment]
}

run "bake_time_over_the_timeout" {
  command = plan
  module { source = "./modules/realtime-endpoint" }

  variables {
    deployment = { bake_s = 300, percent = 5, strategy = "rolling" }
  }

  expect_failures = [aws_sagemaker_endpoint.embeddings]
}

run "canary_that_bakes_twice" {
  command = plan
  module { source = "./modules/realtime-endpoint" }

  variables {
    deployment = { bake_s = 300, timeout_s = 600 }
  }

  expect_failures = [aws_sagemaker_endpoint.embeddings]
}

run "too_many_rollback_alarms" {
  command = plan
  module { source = "./modules/realtime-endpoint" }

  variables {
    deployment = { rollback_alarms = ["1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11"] }
  }

  expect_failures = [var.deployment]
}

run "rolling_with_two_variants" {
  command = plan
  module { source = "./modules/realtime-endpoint" }

  variables {
    deployment = { strategy = "rolling" }
    variants = {
      a = { instance_type = "ml.c7i.xlarge", model = { name = "m" } }
      b = { instance_type = "ml.c7i.xlarge", model = { name = "m" } }
    }
  }

  expect_failures = [var.deployment]
}

run "output_path_without_a_prefix" {
  command = plan
  module { source = "./modules/realtime-endpoint" }

  variables {
    async = { input_path = "s3://my-bucket/requests", output_path = "s3://my-bucket" }
  }

  expect_failures = [var.async]
}

run "input_path_with_a_wildcard" {
  command = plan
  module { source = "./modules/realtime-endpoint" }

  variables {
    async = { input_path = "s3://my-bucket/*", output_path = "s3://my-bucket/answers" }
  }

  expect_failures = [var.async]
}

run "concurrency_of_zero" {
  command = plan
  module { source = "./modules/realtime-endpoint" }

  variables {
    async = { concurrency = 0, input_path = "s3://my-bucket/requests", output_path = "s3://my-bucket/answers" }
  }

  expect_failures = [var.async]
}

run "topic_without_an_arn" {
  command = plan
  module { source = "./modules/realtime-endpoint" }

  variables {
    async = {
      error_topic_arn = "failures"
      input_path      = "s3://my-bucket/requests"
      output_path     = "s3://my-bucket/answers"
    }
  }

  expect_failures = [var.async]
}

run "capture_to_a_local_path" {
  command = plan
  module { source = "./modules/realtime-endpoint" }

  variables {
    data_capture = { path = "/tmp/captured" }
  }

  expect_failures = [var.data_capture]
}

run "capture_over_100_percent" {
  command = plan
  module { source = "./modules/realtime-endpoint" }

  variables {
    data_capture = { path = "s3://my-bucket/captured", percentage = 200 }
  }

  expect_failures = [var.data_capture]
}

run "capture_in_an_unknown_mode" {
  command = plan
  module { source = "./modules/realtime-endpoint" }

  variables {
    data_capture = { path = "s3://my-bucket/captured", modes = ["InputAndOutput"] }
  }

  expect_failures = [var.data_capture]
}

run "key_alias" {
  command = plan
  module { source = "./modules/realtime-endpoint" }

  variables {
    kms_key_arn = "alias/my-key"
  }

  expect_failures = [var.kms_key_arn]
}

run "unsupported_log_retention" {
  command = plan
  module { source = "./modules/realtime-endpoint" }

  variables {
    log_retention_days = 31
  }

  expect_failures = [var.log_retention_days]
}

run "name_with_an_underscore" {
  command = plan
  module { source = "./modules/realtime-endpoint" }

  variables {
    config_name = "alex"
    name        = "alex_embedding"
  }

  expect_failures = [var.name]
}

run "configuration_name_too_long" {
  command = plan
  module { source = "./modules/realtime-endpoint" }

  variables {
    config_name = "abcdefghijklmnopqrstuvwxyz-abcdefghijklmnopqrstuvwxyz-x"
  }

  expect_failures = [var.config_name]
}

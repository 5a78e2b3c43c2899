# Endpoints that modules/endpoint-settings refuses, and those that cause a warning.

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

run "no_endpoint" {
  command = plan
  module { source = "./tests/variables" }

  variables {
    endpoints = {}
  }

  expect_failures = [var.endpoints]
}

run "key_with_an_underscore" {
  command = plan
  module { source = "./modules/endpoint-settings" }

  variables {
    endpoints = { my_endpoint = { model = { hub_id = "a/b" }, serverless = {} } }
  }

  expect_failures = [output.endpoints]
}

run "key_too_long" {
  command = plan
  module { source = "./modules/endpoint-settings" }

  variables {
    endpoints = {
      embedding-of-the-very-long-documents-of-our-archive = { model = { hub_id = "a/b" }, serverless = {} }
    }
  }

  expect_failures = [output.endpoints]
}

run "two_endpoints_of_one_name" {
  command = plan
  module { source = "./modules/endpoint-settings" }

  variables {
    endpoints = {
      embedding = { model = { hub_id = "a/b" }, serverless = {} }
      search    = { endpoint_name = "Alex-embedding-endpoint", model = { hub_id = "a/b" }, serverless = {} }
    }
  }

  expect_failures = [output.endpoints]
}

run "variant_with_a_model_of_another_kind" {
  command = plan
  module { source = "./modules/endpoint-settings" }

  variables {
    endpoints = {
      embedding = {
        model = { hub_id = "a/b" }
        realtime = {
          instance_type = "ml.c7i.xlarge"
          variants      = { candidate = { model = { hub_id = "a/c", kind = "reranker" } } }
        }
      }
    }
  }

  expect_failures = [output.endpoints]
}

run "variant_with_prompts" {
  command = plan
  module { source = "./modules/endpoint-settings" }

  variables {
    endpoints = {
      embedding = {
        model = { hub_id = "a/b", prompts = { query = "query: " } }
        realtime = {
          instance_type = "ml.c7i.xlarge"
          variants      = { candidate = { model = { hub_id = "a/c", prompts = { query = "query: " } } } }
        }
      }
    }
  }

  expect_failures = [output.endpoints]
}

run "no_kind" {
  command = plan
  module { source = "./modules/endpoint-settings" }

  variables {
    endpoints = { embedding = { model = { hub_id = "a/b" }, endpoint_name = "x" } }
  }

  expect_failures = [output.endpoints]
}

run "two_kinds" {
  command = plan
  module { source = "./modules/endpoint-settings" }

  variables {
    endpoints = {
      embedding = { model = { hub_id = "a/b" }, serverless = {}, realtime = { instance_type = "ml.c7i.xlarge" } }
    }
  }

  expect_failures = [output.endpoints]
}

run "serverless_with_an_instance" {
  command = plan
  module { source = "./modules/endpoint-settings" }

  variables {
    endpoints = { embedding = { model = { hub_id = "a/b" }, serverless = {}, instance_type = "ml.g4dn.xlarge" } }
  }

  expect_failures = [output.endpoints]
}

run "serverless_with_a_gpu" {
  command = plan
  module { source = "./modules/endpoint-settings" }

  variables {
    endpoints = { embedding = { model = { hub_id = "a/b", hardware = "gpu" }, serverless = {} } }
  }

  expect_failures = [output.endpoints]
}

run "memory_size_in_mb" {
  command = plan
  module { source = "./modules/endpoint-settings" }

  variables {
    endpoints = { embedding = { model = { hub_id = "a/b" }, serverless = { memory_size_in_mb = 4096 } } }
  }

  expect_failures = [output.endpoints]
}

run "serverless_in_a_vpc" {
  command = plan
  module { source = "./modules/endpoint-settings" }

  variables {
    endpoints = {
      embedding = {
        model      = { hub_id = "a/b" }
        serverless = {}
        vpc        = { subnet_ids = ["subnet-1"], security_group_ids = ["sg-1"] }
      }
    }
  }

  expect_failures = [output.endpoints]
}

run "serverless_with_network_isolation" {
  command = plan
  module { source = "./modules/endpoint-settings" }

  variables {
    endpoints = { embedding = { model = { hub_id = "a/b" }, serverless = {}, network_isolation = true } }
  }

  expect_failures = [output.endpoints]
}

run "serverless_with_data_capture" {
  command = plan
  module { source = "./modules/endpoint-settings" }

  variables {
    endpoints = {
      embedding = { model = { hub_id = "a/b" }, serverless = {}, data_capture = { path = "s3://my-bucket/captured" } }
    }
  }

  expect_failures = [output.endpoints]
}

run "serverless_with_a_key" {
  command = plan
  module { source = "./modules/endpoint-settings" }

  variables {
    endpoints = {
      embedding = {
        model       = { hub_id = "a/b" }
        serverless  = {}
        kms_key_arn = "arn:aws:kms:us-east-1:123456789012:key/0a1b2c3d"
      }
    }
  }

  expect_failures = [output.endpoints]
}

run "variant_named_all_traffic" {
  command = plan
  module { source = "./modules/endpoint-settings" }

  variables {
    endpoints = {
      embedding = {
        model    = { hub_id = "a/b" }
        realtime = { instance_type = "ml.c7i.xlarge", variants = { AllTraffic = { model = { hub_id = "a/c" } } } }
      }
    }
  }

  expect_failures = [output.endpoints]
}

run "instance_count_under_the_minimum" {
  command = plan
  module { source = "./modules/endpoint-settings" }

  variables {
    endpoints = {
      embedding = {
        model       = { hub_id = "a/b" }
        realtime    = { instance_type = "ml.c7i.xlarge" }
        autoscaling = { min = 2, max = 5, tracking = { value = 600 } }
      }
    }
  }

  expect_failures = [output.endpoints]
}

run "variant_instance_count_under_the_minimum" {
  command = plan
  module { source = "./modules/endpoint-settings" }

  variables {
    endpoints = {
      embedding = {
        model       = { hub_id = "a/b" }
        autoscaling = { min = 2, max = 5, tracking = { value = 600 } }
        realtime = {
          instance_count = 2
          instance_type  = "ml.c7i.xlarge"
          variants       = { candidate = { model = { hub_id = "a/c" } } }
        }
      }
    }
  }

  expect_failures = [output.endpoints]
}

run "serverless_scaled_without_warm_containers" {
  command = plan
  module { source = "./modules/endpoint-settings" }

  variables {
    endpoints = {
      embedding = { model = { hub_id = "a/b" }, serverless = {}, autoscaling = { max = 5, tracking = {} } }
    }
  }

  expect_failures = [output.endpoints]
}

run "serverless_scaled_over_its_concurrency" {
  command = plan
  module { source = "./modules/endpoint-settings" }

  variables {
    endpoints = {
      embedding = {
        model       = { hub_id = "a/b" }
        serverless  = { provisioned_concurrency = 1 }
        autoscaling = { max = 50, tracking = {} }
      }
    }
  }

  expect_failures = [output.endpoints]
}

run "scaled_without_a_maximum" {
  command = plan
  module { source = "./modules/endpoint-settings" }

  variables {
    endpoints = {
      embedding = {
        model       = { hub_id = "a/b" }
        realtime    = { instance_type = "ml.c7i.xlarge" }
        autoscaling = { tracking = { value = 600 } }
      }
    }
  }

  expect_failures = [output.endpoints]
}

run "scaled_to_zero_with_two_maxima" {
  command = plan
  module { source = "./modules/endpoint-settings" }

  variables {
    endpoints = {
      embedding = {
        model         = { hub_id = "a/b" }
        scale_to_zero = { instance_type = "ml.c7i.xlarge" }
        autoscaling   = { max = 5, tracking = { value = 600 } }
      }
    }
  }

  expect_failures = [output.endpoints]
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

run "token_level_vectors_of_an_artifact_cause_a_warning" {
  command = plan

  variables {
    endpoints = {
      embedding = {
        model      = { artifact = "s3://my-models/minilm/model.tar.gz", task = "feature-extraction" }
        serverless = {}
      }
    }
  }

  expect_failures = [check.pooled_vectors]
}

run "key_that_clashes_with_another_endpoints_alarms" {
  command = plan
  module { source = "./modules/endpoint-settings" }

  variables {
    endpoints = {
      embedding       = { model = { hub_id = "a/b" }, serverless = {} }
      embedding-model = { model = { hub_id = "a/b" }, serverless = {} }
    }
  }

  expect_failures = [output.endpoints]
}

run "key_that_clashes_with_a_variant" {
  command = plan
  module { source = "./modules/endpoint-settings" }

  variables {
    endpoints = {
      search = {
        model    = { hub_id = "a/b" }
        realtime = { instance_type = "ml.c7i.xlarge", variants = { candidate = { model = { hub_id = "a/c" } } } }
      }
      search-candidate = { model = { hub_id = "a/b" }, serverless = {} }
    }
  }

  expect_failures = [output.endpoints]
}

run "variants_that_differ_in_case" {
  command = plan
  module { source = "./modules/endpoint-settings" }

  variables {
    endpoints = {
      search = {
        model = { hub_id = "a/b" }
        realtime = {
          instance_type = "ml.c7i.xlarge"
          variants      = { A = { model = { hub_id = "a/c" } }, a = { model = { hub_id = "a/c" } } }
        }
      }
    }
  }

  expect_failures = [output.endpoints]
}

run "key_that_clashes_with_a_wake_alarm" {
  command = plan
  module { source = "./modules/endpoint-settings" }

  variables {
    endpoints = {
      search = { model = { hub_id = "a/b" }, scale_to_zero = { instance_type = "ml.c7i.xlarge" } }
      search-endpoint = {
        model       = { hub_id = "a/b" }
        autoscaling = { max = 2, tracking = {} }
        realtime = {
          instance_type = "ml.c7i.xlarge"
          async         = { input_path = "s3://my-bucket/requests", output_path = "s3://my-bucket/answers" }
        }
      }
    }
  }

  expect_failures = [output.endpoints]
}

run "renamed_from_the_key_of_another_endpoint" {
  command = plan
  module { source = "./modules/endpoint-settings" }

  variables {
    endpoints = {
      embedding = { model = { hub_id = "a/b" }, serverless = {} }
      search    = { model = { hub_id = "a/b" }, renamed_from = "embedding", serverless = {} }
    }
  }

  expect_failures = [output.endpoints]
}

run "two_alarms_of_one_name" {
  command = plan

  variables {
    endpoints = {
      queue = {
        autoscaling = { max = 2, tracking = {} }
        model       = { hub_id = "a/b" }
        realtime = {
          async         = { input_path = "s3://my-queue/in", output_path = "s3://my-queue/out" }
          instance_type = "ml.c7i.xlarge"
        }
      }
      sleeping = {
        endpoint_name = "alex-queue"
        model         = { hub_id = "a/b" }
        scale_to_zero = { instance_type = "ml.c7i.xlarge" }
      }
    }
  }

  expect_failures = [output.alarm_names]
}

run "region_of_another_provider" {
  command = plan

  variables {
    aws_region = "eu-central-1"
  }

  expect_failures = [data.aws_region.current]
}

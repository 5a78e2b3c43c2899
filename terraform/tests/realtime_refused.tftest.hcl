# Variants of real-time endpoints that are refused.

mock_provider "aws" {
  source          = "./tests/mocks"
  override_during = plan
}

variables {
  name     = "alex-embedding-endpoint"
  variants = { AllTraffic = { instance_type = "ml.c7i.xlarge", model = { name = "m" } } }
}

run "instance_type_that_does_not_exist" {
  command = plan
  module { source = "./modules/realtime-endpoint" }

  variables {
    variants = { AllTraffic = { instance_type = "ml.g4dn.large", model = { name = "m" } } }
  }

  expect_failures = [aws_sagemaker_endpoint_configuration.embeddings]
}

run "instance_type_of_ec2" {
  command = plan
  module { source = "./modules/realtime-endpoint" }

  variables {
    variants = { AllTraffic = { instance_type = "g5.xlarge", model = { name = "m" } } }
  }

  expect_failures = [aws_sagemaker_endpoint_configuration.embeddings]
}

run "gpu_image_on_a_cpu" {
  command = plan
  module { source = "./modules/realtime-endpoint" }

  variables {
    variants = {
      AllTraffic = {
        instance_type = "ml.c7i.xlarge"
        model = {
          name      = "m"
          image_uri = "683313688378.dkr.ecr.us-east-1.amazonaws.com/tei:2.0.1-tei1.8.2-gpu-py310-cu122-ubuntu22.04"
        }
      }
    }
  }

  expect_failures = [aws_sagemaker_endpoint_configuration.embeddings]
}

run "cpu_image_on_a_gpu" {
  command = plan
  module { source = "./modules/realtime-endpoint" }

  variables {
    variants = {
      AllTraffic = {
        instance_type = "ml.g6.xlarge"
        model = {
          name      = "m"
          image_uri = "683313688378.dkr.ecr.us-east-1.amazonaws.com/tei-cpu:2.0.1-tei1.8.2-cpu-py310-ubuntu22.04"
        }
      }
    }
  }

  expect_failures = [aws_sagemaker_endpoint_configuration.embeddings]
}

run "x86_image_on_graviton" {
  command = plan
  module { source = "./modules/realtime-endpoint" }

  variables {
    variants = {
      AllTraffic = {
        instance_type = "ml.c7g.xlarge"
        model = {
          name      = "m"
          image_uri = "683313688378.dkr.ecr.us-east-1.amazonaws.com/tei-cpu:2.0.1-tei1.8.2-cpu-py310-ubuntu22.04"
        }
      }
    }
  }

  expect_failures = [aws_sagemaker_endpoint_configuration.embeddings]
}

run "cuda_image_on_inferentia" {
  command = plan
  module { source = "./modules/realtime-endpoint" }

  variables {
    variants = {
      AllTraffic = {
        instance_type = "ml.inf2.xlarge"
        model = {
          name = "m"
          image_uri = join(":", [
            "763104351884.dkr.ecr.us-east-1.amazonaws.com/huggingface-pytorch-inference",
            "2.6.0-transformers4.51.3-cpu-py312-ubuntu22.04",
          ])
        }
      }
    }
  }

  expect_failures = [aws_sagemaker_endpoint_configuration.embeddings]
}

run "tei_on_a_gpu_that_is_too_old" {
  command = plan
  module { source = "./modules/realtime-endpoint" }

  variables {
    variants = {
      AllTraffic = {
        instance_type = "ml.p3.2xlarge"
        model = {
          name      = "m"
          image_uri = "683313688378.dkr.ecr.us-east-1.amazonaws.com/tei:2.0.1-tei1.8.2-gpu-py310-cu122-ubuntu22.04"
        }
      }
    }
  }

  expect_failures = [aws_sagemaker_endpoint_configuration.embeddings]
}

run "no_variant" {
  command = plan
  module { source = "./modules/realtime-endpoint" }

  variables {
    variants = {}
  }

  expect_failures = [var.variants]
}

run "variant_with_an_underscore" {
  command = plan
  module { source = "./modules/realtime-endpoint" }

  variables {
    variants = { all_traffic = { instance_type = "ml.c7i.xlarge", model = { name = "m" } } }
  }

  expect_failures = [var.variants]
}

run "instance_count_of_zero" {
  command = plan
  module { source = "./modules/realtime-endpoint" }

  variables {
    variants = { AllTraffic = { instance_count = 0, instance_type = "ml.c7i.xlarge", model = { name = "m" } } }
  }

  expect_failures = [var.variants]
}

run "fractional_instance_count" {
  command = plan
  module { source = "./modules/realtime-endpoint" }

  variables {
    variants = { AllTraffic = { instance_count = 1.5, instance_type = "ml.c7i.xlarge", model = { name = "m" } } }
  }

  expect_failures = [var.variants]
}

run "weight_of_zero" {
  command = plan
  module { source = "./modules/realtime-endpoint" }

  variables {
    variants = { AllTraffic = { instance_type = "ml.c7i.xlarge", model = { name = "m" }, weight = 0 } }
  }

  expect_failures = [var.variants]
}

run "negative_weight" {
  command = plan
  module { source = "./modules/realtime-endpoint" }

  variables {
    variants = {
      a = { instance_type = "ml.c7i.xlarge", model = { name = "m" }, weight = -1 }
      b = { instance_type = "ml.c7i.xlarge", model = { name = "m" }, weight = 3 }
    }
  }

  expect_failures = [var.variants]
}

run "fractional_weights" {
  command = plan
  module { source = "./modules/realtime-endpoint" }

  variables {
    variants = {
      a = { instance_type = "ml.c7i.xlarge", model = { name = "m" }, weight = 0.8 }
      b = { instance_type = "ml.c7i.xlarge", model = { name = "m" }, weight = 0.2 }
    }
  }

  expect_failures = [var.variants]
}

run "weight_that_is_not_exact_in_single_precision" {
  command = plan
  module { source = "./modules/realtime-endpoint" }

  variables {
    variants = { AllTraffic = { instance_type = "ml.c7i.xlarge", model = { name = "m" }, weight = 16777217 } }
  }

  expect_failures = [var.variants]
}

run "startup_timeout_of_a_second" {
  command = plan
  module { source = "./modules/realtime-endpoint" }

  variables {
    variants = { AllTraffic = { instance_type = "ml.c7i.xlarge", model = { name = "m" }, startup_timeout_s = 1 } }
  }

  expect_failures = [var.variants]
}

run "volume_with_local_disks" {
  command = plan
  module { source = "./modules/realtime-endpoint" }

  variables {
    variants = { AllTraffic = { instance_type = "ml.g5.xlarge", model = { name = "m" }, volume_gb = 100 } }
  }

  expect_failures = [aws_sagemaker_endpoint_configuration.embeddings]
}

run "volume_over_the_limit" {
  command = plan
  module { source = "./modules/realtime-endpoint" }

  variables {
    variants = { AllTraffic = { instance_type = "ml.c7i.xlarge", model = { name = "m" }, volume_gb = 1000 } }
  }

  expect_failures = [aws_sagemaker_endpoint_configuration.embeddings]
}

run "image_for_an_unsupported_host" {
  command = plan
  module { source = "./modules/realtime-endpoint" }

  variables {
    variants = {
      AllTraffic = {
        instance_type = "ml.g5.xlarge"
        model = {
          name      = "m"
          image_uri = "683313688378.dkr.ecr.us-east-1.amazonaws.com/vllm:0.33.0-gpu-py312-cu130-ubuntu24.04"
        }
      }
    }
  }

  expect_failures = [aws_sagemaker_endpoint_configuration.embeddings]
}

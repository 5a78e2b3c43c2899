# Settings of the real-time endpoint.

mock_provider "aws" {
  source          = "./tests/mocks"
  override_during = plan
}

# A fixed id, so that names can be compared.
override_resource {
  target          = module.config.terraform_data.deployment
  override_during = plan
  values          = { id = "11111111-2222-3333-4444-555555555555" }
}

variables {
  name = "alex-embedding-endpoint"
  variants = {
    AllTraffic = {
      instance_type = "ml.g4dn.xlarge"
      model = {
        name      = "m"
        image_uri = "683313688378.dkr.ecr.us-east-1.amazonaws.com/tei:2.0.1-tei1.8.2-gpu-py310-cu122-ubuntu22.04"
      }
    }
  }
}

run "defaults" {
  command = plan
  module { source = "./modules/realtime-endpoint" }

  assert {
    condition = (
      one([
        for variant in aws_sagemaker_endpoint_configuration.embeddings.production_variants :
        join(" ", [
          "${variant.variant_name} ${variant.instance_type} ${variant.initial_instance_count}",
          "${variant.initial_variant_weight} ${variant.model_name}",
        ])
      ]) ==
      "AllTraffic ml.g4dn.xlarge 1 1 m"
    )
    error_message = "One instance must get all the traffic."
  }
  assert {
    condition = (
      (
        one(
          aws_sagemaker_endpoint_configuration.embeddings.production_variants,
        ).container_startup_health_check_timeout_in_seconds ==
        600
      ) &&
      (
        one(
          aws_sagemaker_endpoint_configuration.embeddings.production_variants,
        ).model_data_download_timeout_in_seconds ==
        600
      )
    )
    error_message = "The container must have ten minutes to download and load the model."
  }
  assert {
    condition = (
      aws_sagemaker_endpoint_configuration.embeddings.production_variants[0].routing_config[0].routing_strategy ==
      "LEAST_OUTSTANDING_REQUESTS"
    )
    error_message = "Requests must go to the instance with the fewest requests."
  }
  assert {
    condition = (
      aws_sagemaker_endpoint_configuration.embeddings.production_variants[0].inference_ami_version ==
      null
    )
    error_message = "CUDA 12.2 must use the default host image."
  }
  assert {
    condition = (
      length(aws_sagemaker_endpoint_configuration.embeddings.async_inference_config) == 0 &&
      length(aws_sagemaker_endpoint_configuration.embeddings.data_capture_config) == 0
    )
    error_message = "No other attribute must be set."
  }
  assert {
    condition = (
      jsonencode(aws_sagemaker_endpoint.embeddings.deployment_config) ==
      jsonencode([
        {
          auto_rollback_configuration = [{ alarms = [{ alarm_name = "alex-embedding-endpoint-no-rollback" }] }]
          blue_green_update_policy = [
            {
              maximum_execution_timeout_in_seconds = 3600
              termination_wait_in_seconds          = 0
              traffic_routing_configuration = [
                { canary_size = [], linear_step_size = [], type = "ALL_AT_ONCE", wait_interval_in_seconds = 0 },
              ]
            },
          ]
          rolling_update_policy = []
        },
      ])
    )
    error_message = join(" ", [
      "A deployment must be all at once, and have an alarm: without one the endpoint would be replaced when it",
      "gets one.",
    ])
  }
  assert {
    condition = (
      aws_cloudwatch_metric_alarm.no_rollback.comparison_operator == "LessThanThreshold" &&
      aws_cloudwatch_metric_alarm.no_rollback.threshold == 0 &&
      aws_cloudwatch_metric_alarm.no_rollback.statistic == "Sum" &&
      aws_cloudwatch_metric_alarm.no_rollback.treat_missing_data == "notBreaching"
    )
    error_message = "The placeholder alarm must never fire."
  }
  assert {
    condition = (
      aws_sagemaker_endpoint.embeddings.endpoint_config_name == output.config_name &&
      can(regex("^alex-embedding-endpoint-[0-9a-f]{8}$", output.config_name))
    )
    error_message = "The endpoint must run the configuration, which is named after it."
  }
  assert {
    condition     = output.log_group_name == "/aws/sagemaker/Endpoints/alex-embedding-endpoint"
    error_message = "The log group must be the one that SageMaker writes to."
  }
}

run "instance_count_changes_the_configuration" {
  command = plan
  module { source = "./modules/realtime-endpoint" }

  variables {
    variants = { AllTraffic = { instance_count = 2, instance_type = "ml.g4dn.xlarge", model = { name = "m" } } }
  }

  assert {
    condition     = output.config_name != run.defaults.config_name
    error_message = "Another instance count must lead to another configuration."
  }
}

run "image_does_not_change_the_configuration" {
  command = plan
  module { source = "./modules/realtime-endpoint" }

  variables {
    variants = { AllTraffic = { instance_type = "ml.g4dn.xlarge", model = { name = "m" } } }
  }

  assert {
    condition     = output.config_name == run.defaults.config_name
    error_message = "Only the model's name is part of the configuration."
  }
}

run "canary_with_alarms" {
  command = plan
  module { source = "./modules/realtime-endpoint" }

  variables {
    deployment = { bake_s = 600, termination_wait_s = 120, percent = 20, rollback_alarms = ["b-5xx", "a-latency"] }
  }

  assert {
    condition = (
      jsonencode(aws_sagemaker_endpoint.embeddings.deployment_config[0].blue_green_update_policy[0]) ==
      jsonencode({
        maximum_execution_timeout_in_seconds = 3600
        termination_wait_in_seconds          = 120
        traffic_routing_configuration = [
          {
            canary_size              = [{ type = "CAPACITY_PERCENT", value = 20 }]
            linear_step_size         = []
            type                     = "CANARY"
            wait_interval_in_seconds = 600
          },
        ]
      })
    )
    error_message = "A fifth must be tried for ten minutes first."
  }
  assert {
    condition = (
      sort([
        for alarm in one(aws_sagemaker_endpoint.embeddings.deployment_config[0].auto_rollback_configuration).alarms :
        alarm.alarm_name
      ]) ==
      tolist(["a-latency", "b-5xx"])
    )
    error_message = "The alarms must roll back."
  }
  assert {
    condition     = output.config_name != run.defaults.config_name
    error_message = "Another deployment policy must lead to another configuration."
  }
}

run "linear" {
  command = plan
  module { source = "./modules/realtime-endpoint" }

  variables {
    deployment = { percent = 25, strategy = "linear" }
  }

  assert {
    condition = (
      (
        one(
          aws_sagemaker_endpoint.embeddings.deployment_config[0].blue_green_update_policy,
        ).traffic_routing_configuration[0].type ==
        "LINEAR"
      ) &&
      (
        one(
          aws_sagemaker_endpoint.embeddings.deployment_config[0].blue_green_update_policy,
        ).traffic_routing_configuration[0].linear_step_size[0].value ==
        25
      )
    )
    error_message = "Each step must shift 25 % of the traffic."
  }
  assert {
    condition = (
      one(one(aws_sagemaker_endpoint.embeddings.deployment_config[0].auto_rollback_configuration).alarms).alarm_name ==
      "alex-embedding-endpoint-no-rollback"
    )
    error_message = "Without alarms, only the placeholder must be named."
  }
}

run "all_at_once" {
  command = plan
  module { source = "./modules/realtime-endpoint" }

  variables {
    deployment = { strategy = "all_at_once", bake_s = 0 }
  }

  assert {
    condition = (
      jsonencode(
        one(
          aws_sagemaker_endpoint.embeddings.deployment_config[0].blue_green_update_policy,
        ).traffic_routing_configuration,
      ) ==
      jsonencode([{ canary_size = [], linear_step_size = [], type = "ALL_AT_ONCE", wait_interval_in_seconds = 0 }])
    )
    error_message = "All traffic must shift at once."
  }
}

run "rolling" {
  command = plan
  module { source = "./modules/realtime-endpoint" }

  variables {
    deployment = { bake_s = 60, percent = 5, strategy = "rolling", timeout_s = 1800 }
  }

  assert {
    condition = (
      length(aws_sagemaker_endpoint.embeddings.deployment_config[0].blue_green_update_policy) == 0 &&
      (
        aws_sagemaker_endpoint.embeddings.deployment_config[0].rolling_update_policy[0].maximum_batch_size[0].value ==
        5
      ) &&
      (
        one(
          aws_sagemaker_endpoint.embeddings.deployment_config[0].rolling_update_policy,
        ).maximum_execution_timeout_in_seconds ==
        1800
      )
    )
    error_message = "Each step must replace 5 % of the instances."
  }
}

run "asynchronous" {
  command = plan
  module { source = "./modules/realtime-endpoint" }

  variables {
    kms_key_arn = "arn:aws:kms:us-east-1:123456789012:key/0a1b2c3d"
    async = {
      concurrency     = 8
      error_topic_arn = "arn:aws:sns:us-east-1:123456789012:failures"
      failure_path    = "s3://my-bucket/failures"
      input_path      = "s3://my-bucket/requests"
      output_path     = "s3://my-bucket/answers"
    }
  }

  assert {
    condition = (
      one(
        aws_sagemaker_endpoint_configuration.embeddings.async_inference_config[0].client_config,
      ).max_concurrent_invocations_per_instance ==
      8
    )
    error_message = "The concurrency must be set."
  }
  assert {
    condition = (
      jsonencode(aws_sagemaker_endpoint_configuration.embeddings.async_inference_config[0].output_config) ==
      jsonencode([
        {
          kms_key_id = "arn:aws:kms:us-east-1:123456789012:key/0a1b2c3d"
          notification_config = [
            {
              error_topic                   = "arn:aws:sns:us-east-1:123456789012:failures"
              include_inference_response_in = null
              success_topic                 = null
            },
          ]
          s3_failure_path = "s3://my-bucket/failures"
          s3_output_path  = "s3://my-bucket/answers"
        },
      ])
    )
    error_message = "Responses and failures must go to S3, encrypted, and failures must notify."
  }
  assert {
    condition     = aws_sagemaker_endpoint_configuration.embeddings.kms_key_arn == null
    error_message = "A g4dn has local disks, for which SageMaker accepts no key."
  }
}

run "volume_key_without_local_disks" {
  command = plan
  module { source = "./modules/realtime-endpoint" }

  variables {
    kms_key_arn = "arn:aws:kms:us-east-1:123456789012:key/0a1b2c3d"
    variants    = { AllTraffic = { instance_type = "ml.c7i.xlarge", model = { name = "m" }, volume_gb = 64 } }
  }

  assert {
    condition = (
      (
        aws_sagemaker_endpoint_configuration.embeddings.kms_key_arn ==
        "arn:aws:kms:us-east-1:123456789012:key/0a1b2c3d"
      ) &&
      aws_sagemaker_endpoint_configuration.embeddings.production_variants[0].volume_size_in_gb == 64
    )
    error_message = "The volume must be encrypted with the key."
  }
}

run "data_capture" {
  command = plan
  module { source = "./modules/realtime-endpoint" }

  variables {
    data_capture = { path = "s3://my-bucket/captured", percentage = 10, modes = ["Input"] }
  }

  assert {
    condition = (
      aws_sagemaker_endpoint_configuration.embeddings.data_capture_config[0].initial_sampling_percentage == 10 &&
      aws_sagemaker_endpoint_configuration.embeddings.data_capture_config[0].enable_capture &&
      (
        aws_sagemaker_endpoint_configuration.embeddings.data_capture_config[0].destination_s3_uri ==
        "s3://my-bucket/captured"
      ) &&
      (
        jsonencode(aws_sagemaker_endpoint_configuration.embeddings.data_capture_config[0].capture_options) ==
        jsonencode([{ capture_mode = "Input" }])
      )
    )
    error_message = "A tenth of the requests must be kept."
  }
}

run "variants_share_the_traffic" {
  command = plan
  module { source = "./modules/realtime-endpoint" }

  variables {
    variants = {
      candidate = { instance_type = "ml.c7i.xlarge", model = { name = "b" }, weight = 1 }
      current   = { instance_type = "ml.c7i.large", instance_count = 3, model = { name = "a" }, weight = 9 }
    }
  }

  assert {
    condition = (
      [
        for variant in aws_sagemaker_endpoint_configuration.embeddings.production_variants :
        join(" ", [
          "${variant.variant_name} ${variant.model_name} ${variant.initial_variant_weight}",
          "${variant.instance_type} ${variant.initial_instance_count}",
        ])
      ] ==
      ["candidate b 1 ml.c7i.xlarge 1", "current a 9 ml.c7i.large 3"]
    )
    error_message = "Each variant must have its own model, size and weight."
  }
  assert {
    condition     = output.variants["current"].instance_count == 3
    error_message = "The output must contain the variants by name."
  }
}

run "host_image_by_cuda_version" {
  command = plan
  module { source = "./modules/realtime-endpoint" }

  variables {
    variants = {
      older = {
        instance_type = "ml.g5.xlarge"
        model = {
          name = "a"
          image_uri = join(":", [
            "763104351884.dkr.ecr.us-east-1.amazonaws.com/huggingface-pytorch-inference",
            "2.6.0-transformers4.51.3-gpu-py312-cu124-ubuntu22.04",
          ])
        }
      }
      newer = {
        instance_type = "ml.g5.xlarge"
        model = {
          name      = "c"
          image_uri = "683313688378.dkr.ecr.us-east-1.amazonaws.com/tei:2.0.1-tei1.9.3-gpu-py310-cu129-ubuntu24.04"
        }
      }
      chosen = {
        inference_ami = "al2-ami-sagemaker-inference-gpu-2-1"
        instance_type = "ml.g5.xlarge"
        model         = { name = "b" }
      }
    }
  }

  assert {
    condition = (
      output.variants["older"].inference_ami == "al2-ami-sagemaker-inference-gpu-3-1" &&
      output.variants["newer"].inference_ami == "al2-ami-sagemaker-inference-gpu-3-1" &&
      output.variants["chosen"].inference_ami == "al2-ami-sagemaker-inference-gpu-2-1"
    )
    error_message = "CUDA 12.4 and 12.9 must select a newer host image, and inference_ami must override it."
  }
}

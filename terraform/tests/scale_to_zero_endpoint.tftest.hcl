# The scale-to-zero endpoint: its stack and its wake alarm.

mock_provider "aws" {
  source          = "./tests/mocks"
  override_during = plan
}

variables {
  model = {
    name     = "alex-embedding-model-0a1b2c3d"
    role_arn = "arn:aws:iam::123456789012:role/alex-embedding-role"
  }
  name          = "alex-embedding-endpoint"
  scale_to_zero = { instance_type = "ml.g4dn.xlarge", max = 5 }
}

run "on_gpus" {
  command = plan
  module { source = "./modules/scale-to-zero-endpoint" }

  assert {
    condition = (
      jsondecode(aws_cloudformation_stack.embeddings.template_body).Resources.EndpointConfig ==
      {
        Type = "AWS::SageMaker::EndpointConfig"
        Properties = {
          EndpointConfigName = output.config_name
          ExecutionRoleArn   = "arn:aws:iam::123456789012:role/alex-embedding-role"
          ProductionVariants = [
            {
              ContainerStartupHealthCheckTimeoutInSeconds = 1200
              InitialInstanceCount                        = 1
              InstanceType                                = "ml.g4dn.xlarge"
              ManagedInstanceScaling = {
                MaxInstanceCount = 5
                MinInstanceCount = 0
                Status           = "ENABLED"
              }
              ModelDataDownloadTimeoutInSeconds = 1200
              RoutingConfig                     = { RoutingStrategy = "LEAST_OUTSTANDING_REQUESTS" }
              VariantName                       = "AllTraffic"
            },
          ]
        }
      }
    )
    error_message = "The variant must have no model and a minimum of 0 instances."
  }
  assert {
    condition = (
      jsondecode(aws_cloudformation_stack.embeddings.template_body).Resources.InferenceComponent ==
      {
        Type      = "AWS::SageMaker::InferenceComponent"
        DependsOn = "Endpoint"
        Properties = {
          EndpointName           = "alex-embedding-endpoint"
          InferenceComponentName = "alex-embedding-endpoint-component"
          RuntimeConfig          = { CopyCount = 1 }
          Specification = {
            ComputeResourceRequirements = { MinMemoryRequiredInMb = 1024, NumberOfAcceleratorDevicesRequired = 1 }
            ModelName                   = "alex-embedding-model-0a1b2c3d"
            StartupParameters = {
              ContainerStartupHealthCheckTimeoutInSeconds = 1200
              ModelDataDownloadTimeoutInSeconds           = 1200
            }
          }
          VariantName = "AllTraffic"
        }
      }
    )
    error_message = "A copy of the model must have a GPU, and be deleted before its endpoint."
  }
  assert {
    condition = (
      jsondecode(aws_cloudformation_stack.embeddings.template_body).Resources.Endpoint ==
      {
        Type       = "AWS::SageMaker::Endpoint"
        DependsOn  = "EndpointConfig"
        Properties = { EndpointConfigName = output.config_name, EndpointName = "alex-embedding-endpoint" }
      }
    )
    error_message = "The endpoint must keep its name, and be deleted before its configuration."
  }
  assert {
    condition = (
      can(regex("^alex-embedding-endpoint-[0-9a-f]{8}$", output.config_name)) &&
      output.component_name == "alex-embedding-endpoint-component"
    )
    error_message = "The names must follow the endpoint's."
  }
  assert {
    condition = (
      module.autoscaling.resource_id == "inference-component/alex-embedding-endpoint-component" &&
      module.autoscaling.alarm_names == { wake = "alex-embedding-endpoint-wake" } &&
      output.target_value == 300
    )
    error_message = "The copies must have a scalable target and a wake alarm."
  }
  assert {
    condition = (
      output.log_group_name == "/aws/sagemaker/InferenceComponents/alex-embedding-endpoint-component" &&
      length(aws_cloudwatch_log_group.embeddings) == 2
    )
    error_message = "The component's log group must exist."
  }
}

run "model_changes_no_configuration" {
  command = plan
  module { source = "./modules/scale-to-zero-endpoint" }

  variables {
    model = { name = "another", role_arn = "arn:aws:iam::123456789012:role/alex-embedding-role" }
  }

  assert {
    condition = (
      output.config_name == run.on_gpus.config_name &&
      strcontains(aws_cloudformation_stack.embeddings.template_body, "\"another\"")
    )
    error_message = "Another model must update only the component."
  }
}

run "on_cpus_in_a_vpc" {
  command = plan
  module { source = "./modules/scale-to-zero-endpoint" }

  variables {
    kms_key_arn       = "arn:aws:kms:us-east-1:123456789012:key/0a1b2c3d"
    network_isolation = true
    model = {
      name     = "m"
      role_arn = "arn:aws:iam::123456789012:role/r"
      vpc      = { security_group_ids = ["sg-1"], subnet_ids = ["subnet-1"] }
    }
    scale_to_zero = { cpu_cores = 1, instance_type = "ml.c7i.xlarge", memory_mb = 2048, min = 1, max = 2 }
  }

  assert {
    condition = (
      (
        jsondecode(aws_cloudformation_stack.embeddings.template_body).Resources.EndpointConfig.Properties.VpcConfig ==
        { SecurityGroupIds = ["sg-1"], Subnets = ["subnet-1"] }
      ) &&
      jsondecode(
        aws_cloudformation_stack.embeddings.template_body,
      ).Resources.EndpointConfig.Properties.EnableNetworkIsolation &&
      (
        jsondecode(aws_cloudformation_stack.embeddings.template_body).Resources.EndpointConfig.Properties.KmsKeyId ==
        "arn:aws:kms:us-east-1:123456789012:key/0a1b2c3d"
      )
    )
    error_message = "The endpoint must be in the VPC, isolated and encrypted."
  }
  assert {
    condition = (
      jsondecode(
        aws_cloudformation_stack.embeddings.template_body,
      ).Resources.InferenceComponent.Properties.Specification.ComputeResourceRequirements ==
      { MinMemoryRequiredInMb = 2048, NumberOfCpuCoresRequired = 1 }
    )
    error_message = "A copy must have the cores and the memory that were asked for."
  }
  assert {
    condition     = module.autoscaling.alarm_names == {}
    error_message = "With min = 1, there must be no wake alarm."
  }
}

run "host_image_by_cuda_version" {
  command = plan
  module { source = "./modules/scale-to-zero-endpoint" }

  variables {
    model = {
      image_uri = "683313688378.dkr.ecr.us-east-1.amazonaws.com/tei:2.0.1-tei1.9.3-gpu-py310-cu129-ubuntu24.04"
      name      = "m"
      role_arn  = "r"
    }
  }

  assert {
    condition = (
      jsondecode(
        aws_cloudformation_stack.embeddings.template_body,
      ).Resources.EndpointConfig.Properties.ProductionVariants[0].InferenceAmiVersion ==
      "al2-ami-sagemaker-inference-gpu-3-1"
    )
    error_message = "CUDA 12.9 must select a newer host image."
  }
}

run "host_image_by_setting" {
  command = plan
  module { source = "./modules/scale-to-zero-endpoint" }

  variables {
    scale_to_zero = { inference_ami = "al2-ami-sagemaker-inference-gpu-2-1", instance_type = "ml.g4dn.xlarge" }
  }

  assert {
    condition = (
      jsondecode(
        aws_cloudformation_stack.embeddings.template_body,
      ).Resources.EndpointConfig.Properties.ProductionVariants[0].InferenceAmiVersion ==
      "al2-ami-sagemaker-inference-gpu-2-1"
    )
    error_message = "A choice must stand."
  }
  assert {
    condition     = !strcontains(aws_cloudformation_stack.embeddings.template_body, "MetricsConfig")
    error_message = "SageMaker must choose the metrics unless they are set."
  }
}

run "metrics" {
  command = plan
  module { source = "./modules/scale-to-zero-endpoint" }

  variables {
    scale_to_zero = { instance_type = "ml.g4dn.xlarge", metrics = { enhanced = true, period_s = 10 } }
  }

  assert {
    condition = strcontains(
      aws_cloudformation_stack.embeddings.template_body,
      trim(jsonencode({
        MetricsConfig = {
          EnableDetailedObservability     = true
          EnableEnhancedMetrics           = true
          MetricPublishFrequencyInSeconds = 10
        }
      }), "{}"),
    )
    error_message = "SageMaker must scrape the containers' metrics every 10 seconds."
  }
}

run "with_instance_pools_and_a_cache" {
  command = plan
  module { source = "./modules/scale-to-zero-endpoint" }

  variables {
    scale_to_zero = {
      data_cache          = true
      instance_types      = ["ml.g6.xlarge", "ml.g5.xlarge"]
      max                 = 3
      provision_timeout_s = 900
      scale_in            = { max_instances = 2 }
    }
  }

  assert {
    condition = (
      jsondecode(aws_cloudformation_stack.embeddings.template_body).Resources.EndpointConfig.Properties[
        "ProductionVariants"
        ] == [
        {
          ContainerStartupHealthCheckTimeoutInSeconds = 1200
          InitialInstanceCount                        = 1
          InstancePools = [
            { InstanceType = "ml.g6.xlarge", Priority = 1 },
            { InstanceType = "ml.g5.xlarge", Priority = 2 },
          ]
          ManagedInstanceScaling = {
            MaxInstanceCount = 3
            MinInstanceCount = 0
            ScaleInPolicy    = { CooldownInMinutes = 20, MaximumStepSize = 2, Strategy = "CONSOLIDATION" }
            Status           = "ENABLED"
          }
          ModelDataDownloadTimeoutInSeconds        = 1200
          RoutingConfig                            = { RoutingStrategy = "LEAST_OUTSTANDING_REQUESTS" }
          VariantInstanceProvisionTimeoutInSeconds = 900
          VariantName                              = "AllTraffic"
        },
      ]
    )
    error_message = "Pools must replace the instance type."
  }
  assert {
    condition = (
      jsondecode(aws_cloudformation_stack.embeddings.template_body).Resources.InferenceComponent.Properties[
        "Specification"
      ].DataCacheConfig == { EnableCaching = true }
    )
    error_message = "The component must cache image and model."
  }
}

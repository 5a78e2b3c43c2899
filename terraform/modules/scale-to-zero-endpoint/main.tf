data "aws_region" "current" {}

module "container_images" {
  source = "../container-images"
}

module "instance_types" {
  source = "../instance-types"
}

locals {
  # Provider 5.100 has no attribute region, and newer ones deprecate id and name.
  _region = split(".", data.aws_region.current.endpoint)[1]

  _types = module.instance_types.types
  # In the order in which SageMaker tries them.
  _instance_types = compact(concat([var.scale_to_zero.instance_type], coalesce(var.scale_to_zero.instance_types, [])))
  _is_gpu         = try(local._types[local._instance_types[0]].hardware, "cpu") == "gpu"

  # Regions that reject MinInstanceCount 0: "Min instance count needs to be greater than 0 for enabled managed instance
  # scaling" (github.com/stdapi-ai/stdapi.ai, issue 43, measured on 2026-08-27).
  _regions_without_zero = ["eu-west-3"]

  component_name = coalesce(var.component_name, "${var.name}-component")
  variant        = "AllTraffic"

  # The CUDA version in the image's tag decides the host image.
  _inference_ami = try(coalesce(
    var.scale_to_zero.inference_ami,
    lookup(module.container_images.inference_amis, try(regex("-(cu1[0-9]{2})-", var.model.image_uri)[0], ""), null),
  ), null)

  # Local disks of an instance are encrypted by its hardware, and SageMaker rejects a key for them.
  _volume_key = (
    anytrue([for type in local._instance_types : try(local._types[type].local_storage, false)]) ? null :
    var.kms_key_arn
  )

  # SageMaker requires two pools at least, and a variant has either pools or an instance type.
  _instances = merge(
    { for type in compact([var.scale_to_zero.instance_type]) : "InstanceType" => type },
    var.scale_to_zero.instance_types == null ? {} : {
      InstancePools = [
        for index, type in local._instance_types : { InstanceType = type, Priority = index + 1 }
      ]
    },
    var.scale_to_zero.provision_timeout_s == null ? {} : {
      VariantInstanceProvisionTimeoutInSeconds = var.scale_to_zero.provision_timeout_s
    },
  )

  _config = merge(
    {
      ExecutionRoleArn = var.model.role_arn
      ProductionVariants = [
        merge(local._inference_ami == null ? {} : { InferenceAmiVersion = local._inference_ami }, local._instances, {
          ContainerStartupHealthCheckTimeoutInSeconds                   = var.scale_to_zero.startup_timeout_s
          InitialInstanceCount                                          = 1
          ManagedInstanceScaling = merge(
            {
              MaxInstanceCount = var.scale_to_zero.max
              MinInstanceCount = var.scale_to_zero.min
              Status           = "ENABLED"
            },
            var.scale_to_zero.scale_in == null ? {} : {
              ScaleInPolicy = {
                CooldownInMinutes = var.scale_to_zero.scale_in.cooldown_minutes
                MaximumStepSize   = var.scale_to_zero.scale_in.max_instances
                Strategy          = "CONSOLIDATION"
              }
            },
          )
          ModelDataDownloadTimeoutInSeconds = var.scale_to_zero.startup_timeout_s
          RoutingConfig                     = { RoutingStrategy = "LEAST_OUTSTANDING_REQUESTS" }
          VariantName                       = local.variant
        }),
      ]
    },
    var.network_isolation ? { EnableNetworkIsolation = true } : {},
    var.scale_to_zero.metrics == null ? {} : {
      MetricsConfig = {
        EnableDetailedObservability     = var.scale_to_zero.metrics.detailed
        EnableEnhancedMetrics           = var.scale_to_zero.metrics.enhanced
        MetricPublishFrequencyInSeconds = var.scale_to_zero.metrics.period_s
      }
    },
    local._volume_key == null ? {} : { KmsKeyId = local._volume_key },
    var.model.vpc == null ? {} : {
      VpcConfig = { SecurityGroupIds = var.model.vpc.security_group_ids, Subnets = var.model.vpc.subnet_ids }
    },
  )

  # CloudFormation cannot replace a resource with a fixed name, and a configuration cannot be changed.
  _config_name = "${coalesce(var.config_name, var.name)}-${substr(sha256(jsonencode(local._config)), 0, 8)}"

  # Each copy gets one GPU, which means one copy per instance with a single GPU. On CPUs a copy gets cpu_cores, and a
  # large instance runs several copies.
  _resources = merge(
    { MinMemoryRequiredInMb = var.scale_to_zero.memory_mb },
    local._is_gpu ? { NumberOfAcceleratorDevicesRequired = 1 } : {
      NumberOfCpuCoresRequired                           = var.scale_to_zero.cpu_cores
    },
  )

  # Reasons why the image does not run on the instance types.
  _image_refusals = distinct(flatten([
    for type in local._instance_types : [
      for refusal in try(local._types[type].refused, []) : "The image does not run on ${type}. ${refusal.remedy}"
      if can(regex(refusal.pattern, var.model.image_uri))
    ]
  ]))
}

# Containers of an inference component write to the component's log group; the service itself writes to the endpoint's.
resource "aws_cloudwatch_log_group" "embeddings" {
  #checkov:skip=CKV_AWS_158:CloudWatch encrypts logs with its own key, and the containers log no texts
  #checkov:skip=CKV_AWS_338:Serving logs are for operation; log_retention_days = 365 keeps them for a year
  for_each = toset(["Endpoints/${var.name}", "InferenceComponents/${local.component_name}"])

  name              = "/aws/sagemaker/${each.key}"
  retention_in_days = var.log_retention_days
  tags              = var.tags
}

# An endpoint that scales to zero instances consists of an inference component on a variant without a model. Version 5
# of the provider supports neither; CloudFormation supports both. To move to native resources once the oldest supported
# provider has them (6.21 has aws_sagemaker_endpoint_configuration with execution_role_arn; no version has inference
# components, as of 2026-11): set DeletionPolicy to Retain and apply, remove this resource with a removed block
# (destroy = false), write the native resources with the same names, and import them.
resource "aws_cloudformation_stack" "embeddings" {
  #checkov:skip=CKV_AWS_124:The apply waits for the stack and shows its events, so that a topic adds nothing
  name = "${var.name}-stack"
  tags = var.tags
  # SageMaker finds instances, pulls the image and downloads the model, one after another.
  timeout_in_minutes = 60

  template_body = jsonencode({
    AWSTemplateFormatVersion = "2010-09-09"
    Description              = "Embedding endpoint ${var.name}, which scales to zero. Made by Terraform."
    Resources = {
      EndpointConfig = {
        Type       = "AWS::SageMaker::EndpointConfig"
        Properties = merge(local._config, { EndpointConfigName = local._config_name })
      }
      # SageMaker expects names here, and references would be ARNs: so the order is explicit.
      Endpoint = {
        Type       = "AWS::SageMaker::Endpoint"
        DependsOn  = "EndpointConfig"
        Properties = { EndpointConfigName = local._config_name, EndpointName = var.name }
      }
      # Deleting an endpoint leaves its components behind: with this order CloudFormation deletes them first.
      InferenceComponent = {
        Type      = "AWS::SageMaker::InferenceComponent"
        DependsOn = "Endpoint"
        Properties = {
          EndpointName           = var.name
          InferenceComponentName = local.component_name
          RuntimeConfig          = { CopyCount = max(1, var.scale_to_zero.min) }
          Specification = merge(
            {
              ComputeResourceRequirements = local._resources
              ModelName                   = var.model.name
              StartupParameters = {
                ContainerStartupHealthCheckTimeoutInSeconds = var.scale_to_zero.startup_timeout_s
                ModelDataDownloadTimeoutInSeconds           = var.scale_to_zero.startup_timeout_s
              }
            },
            var.scale_to_zero.data_cache ? { DataCacheConfig = { EnableCaching = true } } : {},
          )
          VariantName = local.variant
        }
      }
    }
    Outputs = {
      ComponentArn = { Value = { Ref = "InferenceComponent" } }
      EndpointArn  = { Value = { Ref = "Endpoint" } }
    }
  })

  depends_on = [aws_cloudwatch_log_group.embeddings]

  lifecycle {
    precondition {
      condition     = length(local._image_refusals) == 0
      error_message = "${var.name}: ${join(" ", local._image_refusals)}"
    }
    precondition {
      condition = (
        var.scale_to_zero.min > 0 || !contains(local._regions_without_zero, local._region)
      )
      error_message = join(" ", [
        "${var.name}: SageMaker does not scale to zero instances in ${local._region}.",
        "Set scale_to_zero.min = 1, use serverless, or deploy in another region, such as eu-west-1.",
      ])
    }
  }

  timeouts {
    create = "75m"
    update = "75m"
    delete = "75m"
  }
}

# The stack's template contains names that are known only after the apply. `embedstack costs plan` and `costs simulate`
# read the capacity here.
resource "terraform_data" "capacity" {
  input = {
    component_name = local.component_name
    copies         = max(1, var.scale_to_zero.min)
    endpoint_name  = var.name
    instance_types = local._instance_types
    max            = var.scale_to_zero.max
    min            = var.scale_to_zero.min
    requirements   = local._resources
    variant        = local.variant
  }
}

module "autoscaling" {
  source = "../autoscaling"

  name      = var.name
  capacity  = { max = var.scale_to_zero.max, min = var.scale_to_zero.min }
  schedules = var.scale_to_zero.schedules
  tags      = var.tags
  tracking  = var.scale_to_zero.tracking

  target = {
    component_name = local.component_name
    endpoint_name  = var.name
    instance_type  = join(",", local._instance_types)
    kind           = "copies"
  }

  # Copies are registered for scaling after their creation, and deregistered before their deletion.
  depends_on = [aws_cloudformation_stack.embeddings]
}

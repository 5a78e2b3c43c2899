module "container_images" {
  source = "../container-images"
}

module "instance_types" {
  source = "../instance-types"
}

locals {
  _types = module.instance_types.types

  # The CUDA version in the tag of each variant's image, which decides the host image.
  _cuda = { for name, variant in var.variants : name => try(regex("-(cu1[0-9]{2})-", variant.model.image_uri)[0], "") }

  variants = {
    for name, variant in var.variants : name => merge(variant, {
      inference_ami = try(coalesce(
        variant.inference_ami,
        lookup(module.container_images.inference_amis, local._cuda[name], null),
      ), null)
    })
  }

  # Local disks of an instance are encrypted by its hardware, and SageMaker rejects a key for them.
  _has_local_storage = {
    for name, variant in var.variants : name => try(local._types[variant.instance_type].local_storage, false)
  }
  _volume_key = anytrue(values(local._has_local_storage)) ? null : var.kms_key_arn

  # Always present, so that rollback alarms can be added and removed: the provider replaces an endpoint when its
  # auto_rollback_configuration appears or disappears. These are SageMaker's defaults; timeout_s is the hour that the
  # provider waits.
  _deployment = var.deployment == null ? {
    bake_s             = 0
    termination_wait_s = 0
    percent            = 100
    rollback_alarms    = tolist([])
    strategy           = "all_at_once"
    timeout_s          = 3600
  } : var.deployment
  _rollback_alarms = (
    length(local._deployment.rollback_alarms) > 0 ? local._deployment.rollback_alarms :
    [aws_cloudwatch_metric_alarm.no_rollback.alarm_name]
  )

  # Canary deployments bake twice, others once for each step; the old fleet stays after the last one.
  _bakes = lookup(
    { all_at_once = 1, canary = 2 },
    local._deployment.strategy,
    ceil(100 / max(local._deployment.percent, 1)),
  )
  _deployment_s = local._bakes * local._deployment.bake_s + local._deployment.termination_wait_s
}

module "config" {
  source = "../endpoint-config"

  config_name        = coalesce(var.config_name, var.name)
  endpoint_name      = var.name
  log_retention_days = var.log_retention_days
  tags               = var.tags

  content = {
    async        = var.async
    data_capture = var.data_capture
    # SageMaker accepts another deployment policy only together with another configuration. The hash covers the former
    # name of termination_wait_s, so that existing configurations keep their names.
    deployment = var.deployment == null ? null : {
      bake_s          = var.deployment.bake_s
      keep_old_s      = var.deployment.termination_wait_s
      percent         = var.deployment.percent
      rollback_alarms = var.deployment.rollback_alarms
      strategy        = var.deployment.strategy
      timeout_s       = var.deployment.timeout_s
    }
    kms_key_arn = var.kms_key_arn
    variants    = { for name, variant in local.variants : name => merge(variant, { model = variant.model.name }) }
  }
}

resource "aws_sagemaker_endpoint_configuration" "embeddings" {
  #checkov:skip=CKV_AWS_98:Volumes are encrypted with kms_key_arn if it is set, and with SageMaker's own key otherwise
  name        = module.config.name
  kms_key_arn = local._volume_key
  tags        = var.tags

  dynamic "production_variants" {
    for_each = local.variants

    content {
      container_startup_health_check_timeout_in_seconds = production_variants.value.startup_timeout_s
      inference_ami_version                             = production_variants.value.inference_ami
      initial_instance_count                            = production_variants.value.instance_count
      initial_variant_weight                            = production_variants.value.weight
      instance_type                                     = production_variants.value.instance_type
      model_data_download_timeout_in_seconds            = production_variants.value.startup_timeout_s
      model_name                                        = production_variants.value.model.name
      variant_name                                      = production_variants.key
      volume_size_in_gb                                 = production_variants.value.volume_gb

      # Texts differ in length by orders of magnitude: round robin would queue short ones behind long ones.
      routing_config {
        routing_strategy = "LEAST_OUTSTANDING_REQUESTS"
      }
    }
  }

  dynamic "async_inference_config" {
    for_each = var.async == null ? [] : [var.async]

    content {
      client_config {
        max_concurrent_invocations_per_instance = async_inference_config.value.concurrency
      }
      output_config {
        kms_key_id      = var.kms_key_arn
        s3_failure_path = async_inference_config.value.failure_path
        s3_output_path  = async_inference_config.value.output_path

        dynamic "notification_config" {
          for_each = [
            for async in [async_inference_config.value] : async
            if async.error_topic_arn != null || async.success_topic_arn != null
          ]

          content {
            error_topic   = notification_config.value.error_topic_arn
            success_topic = notification_config.value.success_topic_arn
          }
        }
      }
    }
  }

  dynamic "data_capture_config" {
    for_each = var.data_capture == null ? [] : [var.data_capture]

    content {
      destination_s3_uri          = data_capture_config.value.path
      enable_capture              = true
      initial_sampling_percentage = data_capture_config.value.percentage
      kms_key_id                  = var.kms_key_arn

      dynamic "capture_options" {
        for_each = data_capture_config.value.modes

        content {
          capture_mode = capture_options.value
        }
      }

      # Without this, JSON is captured in base64.
      capture_content_type_header {
        json_content_types = ["application/json"]
      }
    }
  }

  lifecycle {
    # A configuration cannot be changed, and the endpoint needs the old one until it uses the new one.
    create_before_destroy = true

    precondition {
      condition     = length(local._unknown_instance_types) == 0
      error_message = "${var.name}: ${join(" ", values(local._unknown_instance_types))}"
    }
    precondition {
      condition     = length(local._unsupported_images) == 0
      error_message = "${var.name}: ${join(" ", local._unsupported_images)}"
    }
    precondition {
      condition = length(local._unsupported_hosts) == 0
      error_message = join(" ", [
        "${var.name}: images for CUDA 13 need the host image al2023-ami-sagemaker-inference-gpu-4-1,",
        "which version 5 of the AWS provider does not support.",
        "Use an image for CUDA 12, such as the default image_tag; or, with a newer provider (terraform",
        "init -upgrade), set inference_ami = \"al2023-ami-sagemaker-inference-gpu-4-1\".",
        "Affected variants: ${join(", ", local._unsupported_hosts)}.",
      ])
    }
    precondition {
      condition = length(local._unsupported_volumes) == 0
      error_message = join(" ", [
        "${var.name}: volume_gb must be from 1 to 512.",
        "Remove it if the instance has local disks, as g4dn, g5 and g6 have.",
        "Affected variants: ${join(", ", local._unsupported_volumes)}.",
      ])
    }
  }
}

# A placeholder for deployments without rollback alarms: the provider needs one, and SageMaker requires that it exists.
# It never fires, because no count of requests is below zero.
resource "aws_cloudwatch_metric_alarm" "no_rollback" {
  alarm_name = "${var.name}-no-rollback"
  alarm_description = join(" ", [
    "Never fires.",
    "Named by the deployments of ${var.name} while no other alarm",
    "shall take them back.",
  ])
  comparison_operator = "LessThanThreshold"
  dimensions          = { EndpointName = var.name }
  evaluation_periods  = 1
  metric_name         = "Invocations"
  namespace           = "AWS/SageMaker"
  period              = 60
  statistic           = "Sum"
  tags                = var.tags
  threshold           = 0
  treat_missing_data  = "notBreaching"
}

resource "aws_sagemaker_endpoint" "embeddings" {
  name                 = var.name
  endpoint_config_name = aws_sagemaker_endpoint_configuration.embeddings.name
  tags                 = var.tags

  deployment_config {
    dynamic "blue_green_update_policy" {
      for_each = local._deployment.strategy == "rolling" ? [] : [local._deployment]

      content {
        maximum_execution_timeout_in_seconds = blue_green_update_policy.value.timeout_s
        termination_wait_in_seconds          = blue_green_update_policy.value.termination_wait_s

        traffic_routing_configuration {
          type                     = upper(blue_green_update_policy.value.strategy)
          wait_interval_in_seconds = blue_green_update_policy.value.bake_s

          dynamic "canary_size" {
            for_each = (
              blue_green_update_policy.value.strategy == "canary" ? [blue_green_update_policy.value.percent] :
              []
            )

            content {
              type  = "CAPACITY_PERCENT"
              value = canary_size.value
            }
          }

          dynamic "linear_step_size" {
            for_each = (
              blue_green_update_policy.value.strategy == "linear" ? [blue_green_update_policy.value.percent] :
              []
            )

            content {
              type  = "CAPACITY_PERCENT"
              value = linear_step_size.value
            }
          }
        }
      }
    }

    dynamic "rolling_update_policy" {
      for_each = local._deployment.strategy == "rolling" ? [local._deployment] : []

      content {
        maximum_execution_timeout_in_seconds = rolling_update_policy.value.timeout_s
        wait_interval_in_seconds             = rolling_update_policy.value.bake_s

        maximum_batch_size {
          type  = "CAPACITY_PERCENT"
          value = rolling_update_policy.value.percent
        }
      }
    }

    auto_rollback_configuration {
      dynamic "alarms" {
        for_each = local._rollback_alarms

        content {
          alarm_name = alarms.value
        }
      }
    }
  }

  # The log group must exist before the first container writes to it.
  depends_on = [module.config]

  lifecycle {
    precondition {
      condition = local._deployment_s < local._deployment.timeout_s
      error_message = join(" ", [
        "${var.name}: deployment.bake_s, once for each step, and termination_wait_s add up to",
        "${local._deployment_s} seconds and must be less than timeout_s.",
        "Bake for a shorter time, use larger steps (percent), or raise timeout_s up to 3600.",
      ])
    }

    # If the new containers do not start, or an alarm fires, SageMaker returns to the old configuration and reports
    # InService, which the provider takes for success. Failing here also keeps the old configuration.
    postcondition {
      condition = self.endpoint_config_name == aws_sagemaker_endpoint_configuration.embeddings.name
      error_message = join(" ", [
        "SageMaker rolled ${var.name} back to ${self.endpoint_config_name}, because the new models or",
        "configuration did not start, or an alarm fired. Read the log group /aws/sagemaker/Endpoints/${var.name}.",
      ])
    }
  }
}

module "instance_types" {
  source = "../instance-types"
}

locals {
  _types = module.instance_types.types

  # What each variant's image asks of its host, by the CUDA version in the image's tag.
  _cuda = { for name, variant in var.variants : name => try(regex("-(cu1[0-9]{2})-", variant.model.image_uri)[0], "") }

  variants = {
    for name, variant in var.variants : name => merge(variant, {
      inference_ami = try(coalesce(
        variant.inference_ami,
        lookup(module.instance_types.inference_amis, local._cuda[name], null),
      ), null)
    })
  }

  # A host's own disks are encrypted by its hardware, and SageMaker has refused a key beside them.
  _volume_key = anytrue([for variant in values(var.variants) : try(local._types[variant.instance_type].local_storage, false)]) ? null : var.kms_key_arn

  # Never left out, so that what watches a deployment can be switched on and off: the provider would replace the
  # endpoint when its auto_rollback_configuration appears or goes. This is what SageMaker does of itself, and it gives
  # up when the provider does, which waits for an hour.
  _deployment = var.deployment == null ? {
    bake_s          = 0
    keep_old_s      = 0
    percent         = 100
    rollback_alarms = tolist([])
    strategy        = "all_at_once"
    timeout_s       = 3600
  } : var.deployment
  _rollback_alarms = length(local._deployment.rollback_alarms) > 0 ? local._deployment.rollback_alarms : [aws_cloudwatch_metric_alarm.no_rollback.alarm_name]

  _content = {
    async        = var.async
    data_capture = var.data_capture
    # SageMaker takes another policy only together with another configuration.
    deployment  = var.deployment
    kms_key_arn = var.kms_key_arn
    variants    = { for name, variant in local.variants : name => merge(variant, { model = variant.model.name }) }
  }
  _content_hash = sha256(jsonencode(local._content))

  config_name = "${coalesce(var.config_name, var.name)}-${substr(sha256("${local._content_hash} ${terraform_data.deployment.id}"), 0, 8)}"
}

# Makes the way back to former settings a new name too: after a deployment that SageMaker rolled back, the
# former configuration is still in use, and its name taken.
resource "terraform_data" "deployment" {
  triggers_replace = local._content_hash
}

# SageMaker would create the group on the first log line, without retention and beyond the reach of destroy.
resource "aws_cloudwatch_log_group" "embeddings" {
  #checkov:skip=CKV_AWS_158:CloudWatch encrypts logs with its own key, and the containers log no texts
  #checkov:skip=CKV_AWS_338:Serving logs are for operation; who needs a year sets log_retention_days = 365
  name              = "/aws/sagemaker/Endpoints/${var.name}"
  retention_in_days = var.log_retention_days
  tags              = var.tags
}

resource "aws_sagemaker_endpoint_configuration" "embeddings" {
  #checkov:skip=CKV_AWS_98:Volumes are encrypted with the key where kms_key_arn names one, and with SageMaker's own otherwise
  name        = local.config_name
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

      # Texts differ in length by orders of magnitude: taking turns would queue short ones behind long ones.
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
          for_each = async_inference_config.value.error_topic_arn == null && async_inference_config.value.success_topic_arn == null ? [] : [async_inference_config.value]

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

      # Without this JSON is captured in base64, which nobody can read.
      capture_content_type_header {
        json_content_types = ["application/json"]
      }
    }
  }

  lifecycle {
    # A configuration cannot be changed, and the endpoint needs the old one until it has moved to the new.
    create_before_destroy = true
  }
}

# Stands where no alarm shall take a deployment back: there must be one, and SageMaker looks for it. It cannot fire, as
# no count of requests is under zero.
resource "aws_cloudwatch_metric_alarm" "no_rollback" {
  alarm_name          = "${var.name}-no-rollback"
  alarm_description   = "Never fires. Named by the deployments of ${var.name} while no other alarm shall take them back."
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
        termination_wait_in_seconds          = blue_green_update_policy.value.keep_old_s

        traffic_routing_configuration {
          type                     = upper(blue_green_update_policy.value.strategy)
          wait_interval_in_seconds = blue_green_update_policy.value.bake_s

          dynamic "canary_size" {
            for_each = blue_green_update_policy.value.strategy == "canary" ? [blue_green_update_policy.value.percent] : []

            content {
              type  = "CAPACITY_PERCENT"
              value = canary_size.value
            }
          }

          dynamic "linear_step_size" {
            for_each = blue_green_update_policy.value.strategy == "linear" ? [blue_green_update_policy.value.percent] : []

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

  depends_on = [aws_cloudwatch_log_group.embeddings]

  lifecycle {
    # When the new containers do not come up, or an alarm fires, SageMaker goes back to the old configuration and
    # reports InService, which the provider takes for success. Failing here also keeps the old configuration alive.
    postcondition {
      condition     = self.endpoint_config_name == aws_sagemaker_endpoint_configuration.embeddings.name
      error_message = "SageMaker rolled ${var.name} back to ${self.endpoint_config_name}: the new models or configuration did not come up, or an alarm fired. See the log group /aws/sagemaker/Endpoints/${var.name}."
    }
  }
}

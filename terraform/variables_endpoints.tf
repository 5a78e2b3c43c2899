variable "endpoints" {
  description = "The embedding endpoints by key, which becomes part of the names of their resources."
  type = map(object({
    # Scaling of instances or provisioned concurrency; see modules/autoscaling.
    autoscaling = optional(object({
      # Largest capacity; required, except with scale_to_zero, which has its own.
      max = optional(number)
      # Smallest capacity; defaults to 1, and to 0 with realtime.async.
      min = optional(number)
      schedules = optional(map(object({
        max      = optional(number)
        min      = optional(number)
        schedule = string
        timezone = optional(string, "UTC")
      })), {})
      step = optional(object({
        comparison         = optional(string, "GreaterThanOrEqualToThreshold")
        cooldown_s         = optional(number, 300)
        dimensions         = optional(map(string))
        evaluation_periods = optional(number, 2)
        metric_name        = string
        namespace          = optional(string, "AWS/SageMaker")
        period_s           = optional(number, 60)
        statistic          = optional(string, "Average")
        steps = list(object({
          change = number
          lower  = optional(number)
          upper  = optional(number)
        }))
        threshold = number
      }))
      tracking = optional(object({
        custom = optional(object({
          dimensions  = optional(map(string), {})
          metric_name = string
          namespace   = string
          statistic   = optional(string, "Average")
        }))
        disable_scale_in     = optional(bool, false)
        metric               = optional(string)
        requests_per_second  = optional(number)
        scale_in_cooldown_s  = optional(number, 300)
        scale_out_cooldown_s = optional(number, 300)
        value                = optional(number)
      }))
    }))
    data_capture = optional(object({
      modes      = optional(list(string), ["Input", "Output"])
      path       = string
      percentage = optional(number, 100)
    }))
    # Name of the endpoint; defaults to <name>-<key>-endpoint.
    endpoint_name = optional(string)
    # KMS key ARN for volumes, asynchronous output and captured data; not with serverless.
    kms_key_arn = optional(string)
    # Days for which logs are kept; 0 keeps them forever.
    log_retention_days = optional(number, 30)
    model = object({
      artifact    = optional(string)
      container   = optional(string)
      dimensions  = optional(number)
      environment = optional(map(string), {})
      hub_id      = optional(string)
      image       = optional(string)
      image_tag   = optional(string)
      kind        = optional(string)
      max_tokens  = optional(number)
      model_id    = optional(string)
      prompts = optional(object({
        document = optional(string)
        query    = optional(string)
      }), {})
      revision = optional(string)
      role_arn = optional(string)
      size_gb  = optional(number)
      task     = optional(string)

      # Rejected: the instance type decides.
      hardware = optional(string)
    })
    # Whether the containers have no network, not even S3; not with serverless or hub_id.
    network_isolation = optional(bool, false)
    # Instances that are billed by the hour; see modules/realtime-endpoint.
    realtime = optional(object({
      async = optional(object({
        concurrency       = optional(number, 4)
        error_topic_arn   = optional(string)
        failure_path      = optional(string)
        input_path        = string
        output_path       = string
        success_topic_arn = optional(string)
      }))
      deployment = optional(object({
        bake_s          = optional(number, 300)
        percent         = optional(number, 10)
        rollback_alarms = optional(list(string), [])
        # Whether the alarms of var.alarms for this endpoint roll a deployment back, too.
        rollback_by_alarms = optional(bool, true)
        strategy           = optional(string, "canary")
        termination_wait_s = optional(number, 0)
        timeout_s          = optional(number, 3600)
      }))
      inference_ami     = optional(string)
      instance_count    = optional(number, 1)
      instance_type     = string
      startup_timeout_s = optional(number, 600)
      # Additional variants by name; this one is called AllTraffic.
      variants = optional(map(object({
        inference_ami  = optional(string)
        instance_count = optional(number, 1)
        # Instance type; defaults to that of realtime.
        instance_type = optional(string)
        # The variant's model, with the attributes of the endpoint's model.
        model = object({
          artifact    = optional(string)
          container   = optional(string)
          environment = optional(map(string), {})
          hub_id      = optional(string)
          image       = optional(string)
          image_tag   = optional(string)
          kind        = optional(string)
          max_tokens  = optional(number)
          model_id    = optional(string)
          revision    = optional(string)
          role_arn    = optional(string)
          size_gb     = optional(number)
          task        = optional(string)

          # Rejected: the endpoint's model has them.
          dimensions = optional(number)
          prompts    = optional(object({ document = optional(string), query = optional(string) }), {})
        })
        startup_timeout_s = optional(number, 600)
        volume_gb         = optional(number)
        weight            = optional(number, 1)
      })), {})
      volume_gb = optional(number)
      weight    = optional(number, 1)
    }))
    scale_to_zero = optional(object({
      cpu_cores      = optional(number, 2)
      data_cache     = optional(bool, false)
      inference_ami  = optional(string)
      instance_type  = optional(string)
      instance_types = optional(list(string))
      max            = optional(number, 1)
      memory_mb      = optional(number, 1024)
      metrics = optional(object({
        detailed = optional(bool, true)
        enhanced = optional(bool, false)
        period_s = optional(number, 60)
      }))
      min                 = optional(number, 0)
      provision_timeout_s = optional(number)
      scale_in = optional(object({
        cooldown_minutes = optional(number, 20)
        max_instances    = optional(number, 1)
      }))
      startup_timeout_s = optional(number, 1200)
    }))
    serverless = optional(object({
      max_concurrency         = optional(number, 10)
      memory_mb               = optional(number, 2048)
      provisioned_concurrency = optional(number)

      # Rejected: use memory_mb.
      memory_size_in_mb = optional(number)
    }))
    # Earlier key of the endpoint, whose resources and names it keeps.
    renamed_from = optional(string)
    vpc = optional(object({
      security_group_ids = optional(list(string), [])
      subnet_ids         = list(string)
    }))

    # Rejected: belongs in realtime or scale_to_zero. Terraform silently drops attributes that a type does not name.
    instance_type = optional(string)
  }))
  nullable = false

  # modules/endpoint-settings checks the endpoints.
  validation {
    condition = length(var.endpoints) > 0
    error_message = join(" ", [
      "endpoints is empty. Set at least one: endpoints = { embedding = {",
      "model = { hub_id = \"sentence-transformers/all-MiniLM-L6-v2\" }, serverless = {} } }.",
    ])
  }
}

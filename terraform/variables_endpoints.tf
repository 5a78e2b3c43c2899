variable "endpoints" {
  description = <<-EOT
    The embedding endpoints by key; the key becomes part of their resources' names. Per endpoint:
    - model: where the model comes from, exactly one of hub_id, artifact and image, beside the last two model_id, which
      says which model it is (see modules/huggingface-model);
    - exactly one of these kinds:
      - serverless: memory_mb, max_concurrency and provisioned_concurrency (see modules/serverless-endpoint);
      - realtime: instance_type, instance_count, deployment, async, and further variants that share the traffic by
        weight (see modules/realtime-endpoint); the first variant is called AllTraffic; with var.alarms and deployment
        ({} for its defaults) its alarms take part in a rollback, unless deployment.rollback_by_alarms is false, as the
        repair of an endpoint needs whose alarms are firing: none of it replaces the endpoint;
      - scale_to_zero: instance_type and how many copies of the model at most; none runs while nobody asks (see
        modules/scale-to-zero-endpoint);
    - autoscaling: min, max, and by what: tracking, step or schedules (see modules/autoscaling); min is 1 unless
      given, and 0 with realtime.async. scale_to_zero has min and max itself, and takes tracking and schedules;
    - data_capture, kms_key_arn, network_isolation, vpc: where it runs on instances (see the same);
    - endpoint_name: its name, where it shall not be <name>-<key>-endpoint;
    - log_retention_days: how long its logs are kept.
  EOT
  type = map(object({
    autoscaling = optional(object({
      max = optional(number)
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
    endpoint_name      = optional(string)
    kms_key_arn        = optional(string)
    log_retention_days = optional(number, 30)
    model = object({
      artifact    = optional(string)
      container   = optional(string)
      environment = optional(map(string), {})
      hub_id      = optional(string)
      image       = optional(string)
      image_tag   = optional(string)
      model_id    = optional(string)
      revision    = optional(string)
      size_gb     = optional(number)
      task        = optional(string, "feature-extraction")

      # Known only to be refused, see below.
      hardware = optional(string)
    })
    network_isolation = optional(bool, false)
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
        bake_s             = optional(number, 300)
        keep_old_s         = optional(number, 0)
        percent            = optional(number, 10)
        rollback_alarms    = optional(list(string), [])
        rollback_by_alarms = optional(bool, true)
        strategy           = optional(string, "canary")
        timeout_s          = optional(number, 3600)
      }))
      inference_ami     = optional(string)
      instance_count    = optional(number, 1)
      instance_type     = string
      startup_timeout_s = optional(number, 600)
      variants = optional(map(object({
        inference_ami  = optional(string)
        instance_count = optional(number, 1)
        instance_type  = optional(string)
        model = object({
          artifact    = optional(string)
          container   = optional(string)
          environment = optional(map(string), {})
          hub_id      = optional(string)
          image       = optional(string)
          image_tag   = optional(string)
          model_id    = optional(string)
          revision    = optional(string)
          size_gb     = optional(number)
          task        = optional(string, "feature-extraction")
        })
        startup_timeout_s = optional(number, 600)
        volume_gb         = optional(number)
        weight            = optional(number, 1)
      })), {})
      volume_gb = optional(number)
      weight    = optional(number, 1)
    }))
    scale_to_zero = optional(object({
      cpu_cores         = optional(number, 2)
      inference_ami     = optional(string)
      instance_type     = string
      max               = optional(number, 1)
      memory_mb         = optional(number, 1024)
      min               = optional(number, 0)
      startup_timeout_s = optional(number, 1200)
    }))
    serverless = optional(object({
      max_concurrency         = optional(number, 10)
      memory_mb               = optional(number, 2048)
      provisioned_concurrency = optional(number)

      # Known only to be refused, see below.
      memory_size_in_mb = optional(number)
    }))
    vpc = optional(object({
      security_group_ids = optional(list(string), [])
      subnet_ids         = list(string)
    }))

    # Known only to be refused: Terraform drops attributes that a type does not name, without a word.
    instance_type = optional(string)
  }))
  nullable = false

  validation {
    condition     = length(var.endpoints) > 0
    error_message = "endpoints is empty. Write at least one: endpoints = { embedding = { model = { hub_id = \"sentence-transformers/all-MiniLM-L6-v2\" }, serverless = {} } }."
  }
  validation {
    condition     = alltrue([for key in keys(var.endpoints) : can(regex("^[a-z0-9]+(-[a-z0-9]+)*$", key))])
    error_message = "The keys of endpoints become parts of names and must have lower-case letters, digits and single hyphens between them. Not so: ${join(", ", [for key in keys(var.endpoints) : "\"${key}\"" if !can(regex("^[a-z0-9]+(-[a-z0-9]+)*$", key))])}."
  }
  validation {
    condition     = alltrue([for key in keys(var.endpoints) : length(var.name) + length(key) <= 46])
    error_message = "name and an endpoint's key may have 46 characters together: SageMaker takes 63 for <name>-<key>-config-<hash>. Shorten name or ${join(", ", [for key in keys(var.endpoints) : "\"${key}\"" if length(var.name) + length(key) > 46])}."
  }
  validation {
    # SageMaker compares names without regard to case.
    condition     = length(distinct([for key, endpoint in var.endpoints : lower(coalesce(endpoint.endpoint_name, "${var.name}-${key}-endpoint"))])) == length(var.endpoints)
    error_message = "Two endpoints would have the same name. Names are: ${join(", ", [for key, endpoint in var.endpoints : "${key} = ${coalesce(endpoint.endpoint_name, "${var.name}-${key}-endpoint")}"])}. Change an endpoint_name or a key."
  }
  validation {
    # Keys, and <key>-<variant>, begin the names of roles and alarms. The alarm on model-errors of one is that on errors of
    # another with the key <key>-model, and the alarm that wakes an endpoint is <name>-<key>-endpoint-wake.
    condition     = alltrue([for pair in setproduct(flatten([for key, endpoint in var.endpoints : concat([key], formatlist("%s/%s", key, try(keys(endpoint.realtime.variants), [])), endpoint.scale_to_zero == null ? [] : [format("%s/endpoint", key)])]), flatten([for key, endpoint in var.endpoints : concat([key], formatlist("%s/%s", key, try(keys(endpoint.realtime.variants), [])), endpoint.scale_to_zero == null ? [] : [format("%s/endpoint", key)])])) : pair[0] == pair[1] || !contains([lower(replace(pair[1], "/", "-")), format("%s-model", lower(replace(pair[1], "/", "-")))], lower(replace(pair[0], "/", "-")))])
    error_message = "Names of roles and alarms begin with <name>-<key> or <name>-<key>-<variant>, without regard to case, and would be the same for ${join("; for ", [for pair in setproduct(flatten([for key, endpoint in var.endpoints : concat([key], formatlist("%s/%s", key, try(keys(endpoint.realtime.variants), [])), endpoint.scale_to_zero == null ? [] : [format("%s/endpoint", key)])]), flatten([for key, endpoint in var.endpoints : concat([key], formatlist("%s/%s", key, try(keys(endpoint.realtime.variants), [])), endpoint.scale_to_zero == null ? [] : [format("%s/endpoint", key)])])) : join(" and ", pair) if pair[0] != pair[1] && contains([lower(replace(pair[1], "/", "-")), format("%s-model", lower(replace(pair[1], "/", "-")))], lower(replace(pair[0], "/", "-")))])}. Write another key, or another name for the variant."
  }
  validation {
    condition     = alltrue([for endpoint in values(var.endpoints) : length([for kind in ["realtime", "scale_to_zero", "serverless"] : kind if endpoint[kind] != null]) == 1])
    error_message = "Every endpoint is of one kind: write exactly one of serverless = {} (no instances, paid by request), realtime = { instance_type = \"ml.g4dn.xlarge\" } (instances, paid by the hour) and scale_to_zero = { instance_type = \"ml.g4dn.xlarge\" } (instances while somebody asks). Not so: ${join(", ", [for key, endpoint in var.endpoints : key if length([for kind in ["realtime", "scale_to_zero", "serverless"] : kind if endpoint[kind] != null]) != 1])}."
  }
  validation {
    condition     = alltrue([for endpoint in values(var.endpoints) : endpoint.instance_type == null && endpoint.model.hardware == null])
    error_message = "Write instance_type inside realtime or scale_to_zero; whether a GPU image is taken follows from it, so leave out model.hardware. Serverless endpoints have neither instances to choose nor a GPU: set serverless.memory_mb, with which the CPU grows. Not so: ${join(", ", [for key, endpoint in var.endpoints : key if endpoint.instance_type != null || endpoint.model.hardware != null])}."
  }
  validation {
    condition     = alltrue([for endpoint in values(var.endpoints) : try(endpoint.serverless.memory_size_in_mb, null) == null])
    error_message = "Write serverless.memory_mb instead of memory_size_in_mb, in: ${join(", ", [for key, endpoint in var.endpoints : key if try(endpoint.serverless.memory_size_in_mb, null) != null])}."
  }
  validation {
    condition     = alltrue([for endpoint in values(var.endpoints) : endpoint.serverless == null || endpoint.vpc == null])
    error_message = "Serverless endpoints cannot be attached to a VPC: leave out vpc, and reach them from a VPC through the interface endpoint com.amazonaws.<region>.sagemaker.runtime. Not so: ${join(", ", [for key, endpoint in var.endpoints : key if endpoint.serverless != null && endpoint.vpc != null])}."
  }
  validation {
    condition     = alltrue([for endpoint in values(var.endpoints) : endpoint.serverless == null || !coalesce(endpoint.network_isolation, false)])
    error_message = "Serverless endpoints cannot be isolated from the network: leave out network_isolation; an artifact at least downloads nothing from the Hub. Not so: ${join(", ", [for key, endpoint in var.endpoints : key if endpoint.serverless != null && coalesce(endpoint.network_isolation, false)])}."
  }
  validation {
    condition     = alltrue([for endpoint in values(var.endpoints) : endpoint.realtime != null || endpoint.data_capture == null])
    error_message = "Only realtime endpoints can capture requests: leave out data_capture, and record in the application what you need to keep. Not so: ${join(", ", [for key, endpoint in var.endpoints : key if endpoint.realtime == null && endpoint.data_capture != null])}."
  }
  validation {
    condition     = alltrue([for endpoint in values(var.endpoints) : endpoint.serverless == null || endpoint.kms_key_arn == null])
    error_message = "Serverless endpoints have no volumes or S3 output that a key could encrypt: leave out kms_key_arn. Not so: ${join(", ", [for key, endpoint in var.endpoints : key if endpoint.serverless != null && endpoint.kms_key_arn != null])}."
  }
  validation {
    condition     = alltrue([for endpoint in values(var.endpoints) : !contains(try(keys(endpoint.realtime.variants), []), "AllTraffic")])
    error_message = "The variant AllTraffic is the one that realtime itself describes: give those in realtime.variants other names, in: ${join(", ", [for key, endpoint in var.endpoints : key if contains(try(keys(endpoint.realtime.variants), []), "AllTraffic")])}."
  }
  validation {
    # An update starts over with the initial count: one under the floor would drop capacity under load.
    condition     = alltrue([for endpoint in values(var.endpoints) : endpoint.realtime == null || endpoint.autoscaling == null ? true : alltrue([for count in concat([endpoint.realtime.instance_count], values(endpoint.realtime.variants)[*].instance_count) : count >= coalesce(endpoint.autoscaling.min, 1) || endpoint.realtime.async != null])])
    error_message = "realtime.instance_count, also of variants, must not be under autoscaling.min: every update of an endpoint starts with that many. Raise it, in: ${join(", ", [for key, endpoint in var.endpoints : key if endpoint.realtime == null || endpoint.autoscaling == null || try(endpoint.realtime.async, null) != null ? false : min(concat([endpoint.realtime.instance_count], values(endpoint.realtime.variants)[*].instance_count)...) < coalesce(endpoint.autoscaling.min, 1)])}."
  }
  validation {
    condition     = alltrue([for endpoint in values(var.endpoints) : endpoint.serverless == null || endpoint.autoscaling == null ? true : endpoint.serverless.provisioned_concurrency == null ? false : endpoint.serverless.provisioned_concurrency >= coalesce(endpoint.autoscaling.min, 1) && coalesce(endpoint.autoscaling.max, 1) <= endpoint.serverless.max_concurrency])
    error_message = "A serverless endpoint scales with its requests by itself; autoscaling is for its warm containers. Set serverless.provisioned_concurrency, from autoscaling.min up, and autoscaling.max no higher than serverless.max_concurrency, or leave autoscaling out. Not so: ${join(", ", [for key, endpoint in var.endpoints : key if endpoint.serverless == null || endpoint.autoscaling == null ? false : endpoint.serverless.provisioned_concurrency == null ? true : endpoint.serverless.provisioned_concurrency < coalesce(endpoint.autoscaling.min, 1) || coalesce(endpoint.autoscaling.max, 1) > endpoint.serverless.max_concurrency])}."
  }
  validation {
    condition     = alltrue([for endpoint in values(var.endpoints) : endpoint.autoscaling == null ? true : (endpoint.scale_to_zero == null) == (endpoint.autoscaling.max != null) && (endpoint.scale_to_zero == null || endpoint.autoscaling.min == null && endpoint.autoscaling.step == null)])
    error_message = "autoscaling needs max, except beside scale_to_zero, which has min and max itself and takes no step: it wakes by one of its own. Not so: ${join(", ", [for key, endpoint in var.endpoints : key if endpoint.autoscaling == null ? false : !((endpoint.scale_to_zero == null) == (endpoint.autoscaling.max != null) && (endpoint.scale_to_zero == null || endpoint.autoscaling.min == null && endpoint.autoscaling.step == null))])}."
  }
}

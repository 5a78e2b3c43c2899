variable "capacity" {
  description = "Range of the capacity: instances, copies or warm containers."
  type = object({
    # Largest capacity.
    max = number
    # Smallest capacity; 0 only for async and copies.
    min = number
  })
  nullable = false

  validation {
    condition = var.capacity.min >= local._kind.least && floor(var.capacity.min) == var.capacity.min
    error_message = join(" ", concat(
      [
        join(" ", [
          "${var.name}: autoscaling.min is ${var.capacity.min} and must be a whole number of ${local._kind.least}",
          "or more.",
        ]),
      ],
      local._kind.least == 0 ? [] : [
        "A real-time variant keeps at least one instance.",
        "To pay for none without traffic, use scale_to_zero, serverless, or realtime with async.",
      ],
    ))
  }
  validation {
    condition = var.capacity.max >= max(var.capacity.min, 1) && floor(var.capacity.max) == var.capacity.max
    error_message = join(" ", [
      "${var.name}: autoscaling.max is ${var.capacity.max} and must be a whole number of at least",
      "${max(var.capacity.min, 1)}, as autoscaling.min is ${var.capacity.min}.",
    ])
  }
}

variable "name" {
  description = "First part of the names of policies, schedules and alarms."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[A-Za-z0-9][A-Za-z0-9_-]{0,99}$", var.name))
    error_message = "The scaling name \"${var.name}\" must have up to 100 letters, digits, hyphens and underscores."
  }
}

variable "schedules" {
  description = "Scheduled changes of the capacity by name; each stays in effect until the next one."
  type = map(object({
    # Largest capacity from then on.
    max = optional(number)
    # Smallest capacity from then on.
    min = optional(number)
    # cron(minute hour day month weekday year), at(...) or rate(...).
    schedule = string
    # IANA name, such as Europe/Berlin, which follows daylight saving time.
    timezone = optional(string, "UTC")
  }))
  default  = {}
  nullable = false
}

variable "step" {
  description = "Step scaling by an alarm; null creates none."
  type = object({
    # How the metric is compared with threshold.
    comparison = optional(string, "GreaterThanOrEqualToThreshold")
    # Seconds between two scaling actions.
    cooldown_s = optional(number, 300)
    # Dimensions of the metric; default to the variant's or the inference component's.
    dimensions = optional(map(string))
    # Consecutive periods that must breach the threshold.
    evaluation_periods = optional(number, 2)
    # Name of the metric.
    metric_name = string
    # Namespace of the metric.
    namespace = optional(string, "AWS/SageMaker")
    # Period of the metric in seconds, a multiple of 60.
    period_s = optional(number, 60)
    # Average, Maximum, Minimum, SampleCount or Sum.
    statistic = optional(string, "Average")
    # Capacity changes; bounds are differences from threshold, without gap or overlap.
    steps = list(object({
      # Capacity to add, or to remove if negative.
      change = number
      # Lower bound of the step.
      lower = optional(number)
      # Upper bound of the step.
      upper = optional(number)
    }))
    # Value that the metric is compared with.
    threshold = number
  })
  default = null

  validation {
    condition = var.step == null ? true : length(var.step.steps) > 0 && alltrue([
      for step in var.step.steps :
      step.change != 0 && floor(step.change) == step.change && (
        step.lower == null || step.upper == null ? step.lower != null || step.upper != null : step.lower < step.upper
      )
    ])
    error_message = join(" ", [
      "${var.name}: step.steps must each have a change other than 0, in whole numbers, and lower, upper or both,",
      "with lower under upper, such as { lower = 0, change = 1 }. Bounds are differences from the threshold.",
    ])
  }
  validation {
    condition = try(
      var.target.kind != "async" || var.step.namespace != "AWS/SageMaker" ||
      contains(concat(local._queue_metrics, local._async_variant_metrics), var.step.metric_name),
      true,
    )
    error_message = join(" ", [
      "${var.name}: an asynchronous endpoint does not publish ${try(var.step.metric_name, "step.metric_name")}, so",
      "that the alarm would never fire.",
      "Use ${join(", ", concat(local._queue_metrics, local._async_variant_metrics))}.",
    ])
  }
  validation {
    # The steps form one chain: a single one at either end, and every bound in between belongs to two steps.
    condition = var.step == null ? true : alltrue(flatten([
      for steps in [var.step.steps] : [
        for bounds in [{
          lower = [for step in steps : step.lower if step.lower != null]
          upper = [for step in steps : step.upper if step.upper != null]
          }] : [
          length(distinct(bounds.lower)) == length(bounds.lower),
          length(distinct(bounds.upper)) == length(bounds.upper),
          length(steps) - length(bounds.lower) + length(setsubtract(bounds.lower, bounds.upper)) == 1,
          length(steps) - length(bounds.upper) + length(setsubtract(bounds.upper, bounds.lower)) == 1,
          [for first in setsubtract(bounds.lower, bounds.upper) : first >= 0],
          [for last in setsubtract(bounds.upper, bounds.lower) : last <= 0],
        ]
      ]
    ]))
    error_message = join(" ", [
      "${var.name}: step.steps must follow each other without gap or overlap, so that each upper is the next one's",
      "lower.",
      "The step for the highest load has no upper, and the one for the lowest load no lower, such as [{ lower = 0,",
      "upper = 20, change = 1 }, { lower = 20, change = 2 }].",
    ])
  }
  validation {
    condition = var.step == null ? true : (
      contains([10, 20, 30], var.step.period_s) && !startswith(var.step.namespace, "AWS/") ||
      var.step.period_s >= 60 && var.step.period_s % 60 == 0 &&
      var.step.period_s * var.step.evaluation_periods <= 86400
    )
    error_message = join(" ", [
      "${var.name}: step.period_s must be a multiple of 60 seconds, or 10, 20 or 30 for a custom high-resolution",
      "metric. Multiplied by evaluation_periods, it must be at most a day (86400).",
    ])
  }
  validation {
    condition = (
      var.step == null ? true :
      var.step.evaluation_periods >= 1 && floor(var.step.evaluation_periods) == var.step.evaluation_periods
    )
    error_message = join(" ", [
      "${var.name}: step.evaluation_periods must be a whole number of at least 1, the consecutive periods that",
      "must breach the threshold.",
    ])
  }
  validation {
    condition = (
      var.step == null ? true :
      var.step.cooldown_s >= 0 && floor(var.step.cooldown_s) == var.step.cooldown_s
    )
    error_message = "${var.name}: step.cooldown_s must be whole seconds of at least 0, such as 300."
  }
  validation {
    condition = (
      var.step == null ? true :
      contains(["Average", "Maximum", "Minimum", "SampleCount", "Sum"], var.step.statistic)
    )
    error_message = join(" ", [
      "${var.name}: step.statistic must be Average, Maximum, Minimum, SampleCount or Sum.",
      "For percentiles and metric math, create an alarm yourself.",
    ])
  }
  validation {
    condition = (
      var.step == null ? true :
      contains(
        ["GreaterThanOrEqualToThreshold", "GreaterThanThreshold", "LessThanOrEqualToThreshold", "LessThanThreshold"],
        var.step.comparison,
      )
    )
    error_message = join(" ", [
      "${var.name}: step.comparison must be GreaterThanOrEqualToThreshold, GreaterThanThreshold,",
      "LessThanOrEqualToThreshold or LessThanThreshold.",
    ])
  }
}

variable "tags" {
  description = "Tags for the scalable target and the alarms, in addition to the provider's default_tags."
  type        = map(string)
  default     = {}
  nullable    = false
}

variable "target" {
  description = "The capacity to scale."
  type = object({
    # Name of the inference component; only with kind copies.
    component_name = optional(string)
    # Name of the endpoint.
    endpoint_name = string
    # Instance type; a change deregisters the target first, which SageMaker requires.
    instance_type = optional(string)
    # instances, async (with a queue), copies (inference component) or provisioned_concurrency (serverless).
    kind = string
    # Name of the variant.
    variant = optional(string, "AllTraffic")
  })
  nullable = false

  validation {
    condition = contains(["async", "copies", "instances", "provisioned_concurrency"], var.target.kind)
    error_message = join(" ", [
      "${var.name}: target.kind is \"${var.target.kind}\" and must be instances, async, copies or",
      "provisioned_concurrency.",
    ])
  }
  validation {
    condition = (var.target.kind == "copies") == (var.target.component_name != null)
    error_message = join(" ", [
      "${var.name}: target.component_name names the inference component whose copies are scaled; set it exactly",
      "with kind = \"copies\".",
    ])
  }
  validation {
    condition = !startswith(coalesce(var.target.instance_type, "-"), "ml.t2.")
    error_message = join(" ", [
      "${var.name}: SageMaker does not scale burstable instances (${coalesce(var.target.instance_type, "-")}).",
      "Remove autoscaling, or use ml.c7i.large or ml.m7i.large.",
    ])
  }
}

variable "tracking" {
  description = "Target tracking, with defaults for async (5 per instance) and provisioned_concurrency (70 %)."
  type = object({
    # Custom metric instead of a predefined one.
    custom = optional(object({
      # Dimensions of the metric.
      dimensions = optional(map(string), {})
      # Name of the metric.
      metric_name = string
      # Namespace of the metric.
      namespace = string
      # Average, Maximum, Minimum, SampleCount or Sum.
      statistic = optional(string, "Average")
    }))
    # Whether target tracking only adds capacity.
    disable_scale_in = optional(bool, false)
    # Predefined metric; defaults to requests per instance or copy.
    metric = optional(string)
    # One instance's measured maximum; its half per minute is the target.
    requests_per_second = optional(number)
    # Seconds between two removals of capacity.
    scale_in_cooldown_s = optional(number, 300)
    # Seconds between two additions of capacity.
    scale_out_cooldown_s = optional(number, 300)
    # Target of the metric, instead of requests_per_second.
    value = optional(number)
  })
  default = null

  validation {
    condition = var.tracking != null || var.step != null || length(var.schedules) > 0
    error_message = join(" ", [
      "${var.name}: nothing would scale.",
      "Set tracking, such as { requests_per_second = 20 }, or step, or schedules.",
    ])
  }
  validation {
    condition = (
      var.tracking == null ? true :
      var.tracking.metric == null ||
      var.tracking.custom == null && contains(local._kind.metrics, coalesce(var.tracking.metric, "-"))
    )
    error_message = join(" ", [
      length(local._kind.metrics) == 0 ? join(" ", [
        "${var.name}: an asynchronous endpoint is tracked by its backlog per instance, because it publishes no",
        "metric of invocations per instance. Remove tracking.metric, and set tracking.value, such as 5.",
      ]) : "${var.name}: tracking.metric must be ${join(" or ", local._kind.metrics)} for ${var.target.kind}.",
      length(local._kind.metrics) == 0 ? "" : "Use tracking.custom for another one.",
    ])
  }
  validation {
    # Provisioned concurrency and queues have a default.
    condition = var.tracking == null ? true : contains(
      var.tracking.custom == null && (
        var.target.kind == "provisioned_concurrency" || var.target.kind == "async" && var.tracking.metric == null
      ) ? [0, 1] : [1],
      length([for value in [var.tracking.value, var.tracking.requests_per_second] : value if value != null]),
    )
    error_message = join(" ", [
      "${var.name}: tracking needs exactly one of requests_per_second (the maximum of one instance, which make",
      "test-endpoint measures) and value. A value of 70 is 70 requests per minute and instance, not 70 %.",
    ])
  }
  validation {
    condition = var.tracking == null ? true : (
      coalesce(var.tracking.value, var.tracking.requests_per_second, 0.7) > 0 && (
        var.target.kind != "provisioned_concurrency" ||
        var.tracking.custom != null || coalesce(var.tracking.value, 0.7) <= 1
      )
    )
    error_message = join(" ", [
      "${var.name}: tracking's value must be more than 0.",
      "For provisioned concurrency it is a share, such as 0.7 for 70 %.",
    ])
  }
  validation {
    condition = var.tracking == null ? true : (
      var.tracking.requests_per_second == null || var.tracking.custom == null && contains(
        ["SageMakerVariantInvocationsPerInstance", "SageMakerInferenceComponentInvocationsPerCopy"],
        coalesce(var.tracking.metric, try(local._kind.metrics[0], "-")),
      )
    )
    error_message = join(" ", [
      "${var.name}: tracking.requests_per_second is for metrics of invocations.",
      "Set tracking.value for other metrics.",
    ])
  }
  validation {
    condition = (
      var.tracking == null ? true :
      alltrue([
        for seconds in [var.tracking.scale_in_cooldown_s, var.tracking.scale_out_cooldown_s] :
        seconds >= 0 && floor(seconds) == seconds
      ]) &&
      var.tracking.scale_in_cooldown_s >= var.tracking.scale_out_cooldown_s
    )
    error_message = join(" ", [
      "${var.name}: tracking's cooldowns must be whole seconds, and scale_in_cooldown_s at least",
      "scale_out_cooldown_s, so that capacity is not removed faster than it is added.",
    ])
  }
  validation {
    condition = (
      var.target.kind != "async" || try(var.tracking.custom.namespace, "") != "AWS/SageMaker" ||
      try(var.tracking.custom.metric_name, "") == "ApproximateBacklogSizePerInstance"
    )
    error_message = join(" ", [
      "${var.name}: ApproximateBacklogSizePerInstance is the only metric of SageMaker for an asynchronous endpoint;",
      "others, such as InvocationsPerInstance, are not published or do not fall when instances are added.",
      "Remove tracking.custom, and set tracking.value, such as 5.",
    ])
  }
  validation {
    condition = contains(
      ["Average", "Maximum", "Minimum", "SampleCount", "Sum"],
      try(coalesce(var.tracking.custom.statistic, "Average"), "Average"),
    )
    error_message = "${var.name}: tracking.custom.statistic must be Average, Maximum, Minimum, SampleCount or Sum."
  }
}

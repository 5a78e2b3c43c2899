variable "capacity" {
  description = "How little and how much there may be: instances, copies or warm containers, by the target's kind."
  type = object({
    max = number
    min = number
  })
  nullable = false

  validation {
    condition     = var.capacity.min >= local._kind.least && floor(var.capacity.min) == var.capacity.min
    error_message = "${var.name}: autoscaling.min is ${var.capacity.min} and must be a whole number of at least ${local._kind.least}. ${local._kind.least == 1 ? "SageMaker keeps one instance of a real-time variant: to pay for none while nobody asks, take scale_to_zero, serverless, or realtime with async." : ""}"
  }
  validation {
    condition     = var.capacity.max >= max(var.capacity.min, 1) && floor(var.capacity.max) == var.capacity.max
    error_message = "${var.name}: autoscaling.max is ${var.capacity.max} and must be a whole number of at least ${max(var.capacity.min, 1)}, as autoscaling.min is ${var.capacity.min}."
  }
}

variable "name" {
  description = "Name of the policies, schedules and alarms, to which what they are for is added."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[A-Za-z0-9][A-Za-z0-9_-]{0,99}$", var.name))
    error_message = "The name of the scaling \"${var.name}\" must have up to 100 letters, digits, hyphens and underscores."
  }
}

variable "schedules" {
  description = <<-EOT
    Changes of the range by the clock, by name: schedule is cron(minute hour day month weekday year), at(…) or
    rate(…); timezone is an IANA name, by which summer time is followed; min and max are the range from then on.
    What a schedule sets stays until the next one: nights need one for the evening and one for the morning.
  EOT
  type = map(object({
    max      = optional(number)
    min      = optional(number)
    schedule = string
    timezone = optional(string, "UTC")
  }))
  default  = {}
  nullable = false

  validation {
    condition     = alltrue([for action in values(var.schedules) : anytrue([for pattern in local._schedule_patterns : can(regex(pattern, action.schedule))]) || can(regex("^at\\(.{19}\\)$", action.schedule)) && can(timeadd("${substr(action.schedule, 3, 19)}Z", "0s"))])
    error_message = "${var.name}: ${join(", ", [for name, action in var.schedules : "${name} = \"${action.schedule}\"" if !(anytrue([for pattern in local._schedule_patterns : can(regex(pattern, action.schedule))]) || can(regex("^at\\(.{19}\\)$", action.schedule)) && can(timeadd("${substr(action.schedule, 3, 19)}Z", "0s")))])}: write cron(minute hour day month weekday year) with ? for the day or the weekday, such as cron(0 20 ? * MON-FRI *), or rate(1 day), or at(2027-01-31T08:00:00). Minutes go to 59, hours to 23, weekdays from 1 (SUN) to 7."
  }
  validation {
    condition     = alltrue([for action in values(var.schedules) : can(regex(local._timezone_pattern, action.timezone))])
    error_message = "${var.name}: ${join(", ", [for name, action in var.schedules : "${name} in \"${action.timezone}\"" if !can(regex(local._timezone_pattern, action.timezone))])}: a schedule's timezone must be an IANA name of an area and a city, such as Europe/Berlin or America/New_York, which follows summer time; abbreviations such as CET do not. Whether there is such a city is seen only in the apply."
  }
  validation {
    condition     = alltrue([for action in values(var.schedules) : action.min != null || action.max != null])
    error_message = "${var.name}: a schedule must set min, max or both. Not so: ${join(", ", [for name, action in var.schedules : name if action.min == null && action.max == null])}."
  }
  validation {
    condition     = alltrue([for action in values(var.schedules) : alltrue([for count in [action.min, action.max] : count == null ? true : count >= local._kind.least && floor(count) == count]) && (action.min == null || action.max == null ? true : action.min <= action.max)])
    error_message = "${var.name}: a schedule's min and max must be whole numbers of at least ${local._kind.least}, and min no more than max. Not so: ${join(", ", [for name, action in var.schedules : name if !(alltrue([for count in [action.min, action.max] : count == null ? true : count >= local._kind.least && floor(count) == count]) && (action.min == null || action.max == null ? true : action.min <= action.max))])}."
  }
  validation {
    condition     = alltrue([for action in values(var.schedules) : action.min == null ? coalesce(action.max, var.capacity.min) >= var.capacity.min : action.max != null || action.min <= var.capacity.max])
    error_message = "${var.name}: a schedule that sets only min must keep it at or under capacity.max (${var.capacity.max}), and one that sets only max at or over capacity.min (${var.capacity.min}): write both. Not so: ${join(", ", [for name, action in var.schedules : name if !(action.min == null ? coalesce(action.max, var.capacity.min) >= var.capacity.min : action.max != null || action.min <= var.capacity.max)])}."
  }
}

variable "step" {
  description = <<-EOT
    Scaling in steps by an alarm: metric_name (of namespace, as statistic over period_s seconds) against threshold;
    steps say by how many to change from lower to upper above the threshold. dimensions are the variant's or the
    inference component's unless given.
  EOT
  type = object({
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
  })
  default = null

  validation {
    condition     = var.step == null ? true : length(var.step.steps) > 0 && alltrue([for step in var.step.steps : step.change != 0 && floor(step.change) == step.change && (step.lower == null || step.upper == null ? step.lower != null || step.upper != null : step.lower < step.upper)])
    error_message = "${var.name}: step.steps must each have a change other than 0, in whole numbers, and lower, upper or both, with lower under upper, such as { lower = 0, change = 1 }. Bounds count from the threshold."
  }
  validation {
    # One chain: a single step at either end, and below each other's bound the next.
    condition = var.step == null ? true : alltrue(flatten([
      for steps in [var.step.steps] : [
        for bounds in [{ lower = [for step in steps : step.lower if step.lower != null], upper = [for step in steps : step.upper if step.upper != null] }] : [
          length(distinct(bounds.lower)) == length(bounds.lower),
          length(distinct(bounds.upper)) == length(bounds.upper),
          length(steps) - length(bounds.lower) + length(setsubtract(bounds.lower, bounds.upper)) == 1,
          length(steps) - length(bounds.upper) + length(setsubtract(bounds.upper, bounds.lower)) == 1,
          [for first in setsubtract(bounds.lower, bounds.upper) : first >= 0],
          [for last in setsubtract(bounds.upper, bounds.lower) : last <= 0],
        ]
      ]
    ]))
    error_message = "${var.name}: step.steps must follow each other without gap or overlap, each upper the next one's lower, and be open at the far end: no upper where the load is highest, no lower where it is lowest, such as [{ lower = 0, upper = 20, change = 1 }, { lower = 20, change = 2 }]."
  }
  validation {
    condition     = var.step == null ? true : contains([10, 20, 30], var.step.period_s) && !startswith(var.step.namespace, "AWS/") || var.step.period_s >= 60 && var.step.period_s % 60 == 0 && var.step.period_s * var.step.evaluation_periods <= 86400
    error_message = "${var.name}: step.period_s must be a multiple of 60 seconds, or 10, 20 or 30 for a metric of your own in high resolution; times evaluation_periods it may be a day (86400) at most."
  }
  validation {
    condition     = var.step == null ? true : var.step.evaluation_periods >= 1 && floor(var.step.evaluation_periods) == var.step.evaluation_periods
    error_message = "${var.name}: step.evaluation_periods must be a whole number of at least 1: so many periods in a row must breach the threshold."
  }
  validation {
    condition     = var.step == null ? true : var.step.cooldown_s >= 0 && floor(var.step.cooldown_s) == var.step.cooldown_s
    error_message = "${var.name}: step.cooldown_s must be whole seconds of at least 0, such as 300."
  }
  validation {
    condition     = var.step == null ? true : contains(["Average", "Maximum", "Minimum", "SampleCount", "Sum"], var.step.statistic)
    error_message = "${var.name}: step.statistic must be Average, Maximum, Minimum, SampleCount or Sum; of percentiles and metric math make an alarm of your own."
  }
  validation {
    condition     = var.step == null ? true : contains(["GreaterThanOrEqualToThreshold", "GreaterThanThreshold", "LessThanOrEqualToThreshold", "LessThanThreshold"], var.step.comparison)
    error_message = "${var.name}: step.comparison must be GreaterThanOrEqualToThreshold, GreaterThanThreshold, LessThanOrEqualToThreshold or LessThanThreshold."
  }
}

variable "tags" {
  description = "Tags for the scalable target and the alarms, in addition to the provider's default_tags."
  type        = map(string)
  default     = {}
  nullable    = false
}

variable "target" {
  description = <<-EOT
    What to scale. kind is instances (of a real-time variant), async (of one that has a queue), copies (of an
    inference component) or provisioned_concurrency (of a serverless variant). instance_type has a change of the
    variant's type deregister it first, without which SageMaker refuses the change.
  EOT
  type = object({
    component_name = optional(string)
    endpoint_name  = string
    instance_type  = optional(string)
    kind           = string
    variant        = optional(string, "AllTraffic")
  })
  nullable = false

  validation {
    condition     = contains(["async", "copies", "instances", "provisioned_concurrency"], var.target.kind)
    error_message = "${var.name}: target.kind is \"${var.target.kind}\" and must be instances, async, copies or provisioned_concurrency."
  }
  validation {
    condition     = (var.target.kind == "copies") == (var.target.component_name != null)
    error_message = "${var.name}: target.component_name names the inference component, whose copies are scaled; it goes with kind = \"copies\"."
  }
  validation {
    condition     = !startswith(coalesce(var.target.instance_type, "-"), "ml.t2.")
    error_message = "${var.name}: SageMaker does not scale burstable instances (${coalesce(var.target.instance_type, "-")}). Leave autoscaling out, or take ml.c7i.large or ml.m7i.large."
  }
}

variable "tracking" {
  description = <<-EOT
    Target tracking: hold a metric at a value. metric is one of the target kind's predefined ones, or custom another.
    requests_per_second is what one instance answers at most, as measured: half of it, per minute, becomes the value.
    Left out, both have defaults where the kind has one: 5 requests in the queue per instance (async), 70 % of the
    provisioned concurrency. Null: no target tracking.
  EOT
  type = object({
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
  })
  default = null

  validation {
    condition     = var.tracking != null || var.step != null || length(var.schedules) > 0
    error_message = "${var.name}: nothing would ever scale. Set tracking, such as { requests_per_second = 20 }, or step, or schedules."
  }
  validation {
    condition     = var.tracking == null ? true : var.tracking.metric == null || var.tracking.custom == null && contains(local._kind.metrics, coalesce(var.tracking.metric, "-"))
    error_message = "${var.name}: tracking.metric must be ${join(" or ", local._kind.metrics)} for ${var.target.kind}; another one goes into tracking.custom."
  }
  validation {
    condition     = var.tracking == null ? true : contains(var.tracking.custom == null && (var.target.kind == "provisioned_concurrency" || var.target.kind == "async" && var.tracking.metric == null) ? [0, 1] : [1], length([for value in [var.tracking.value, var.tracking.requests_per_second] : value if value != null]))
    error_message = "${var.name}: tracking needs exactly one of requests_per_second (what one instance answers at most, as make test-endpoint measures it) and value. A value of 70 would not be 70 %, but 70 requests per minute and instance."
  }
  validation {
    condition     = var.tracking == null ? true : coalesce(var.tracking.value, var.tracking.requests_per_second, 0.7) > 0 && (var.target.kind != "provisioned_concurrency" || var.tracking.custom != null || coalesce(var.tracking.value, 0.7) <= 1)
    error_message = "${var.name}: tracking's value must be over 0; of provisioned concurrency it is a share, 0.7 for 70 %."
  }
  validation {
    condition     = var.tracking == null ? true : var.tracking.requests_per_second == null || var.tracking.custom == null && contains(["SageMakerVariantInvocationsPerInstance", "SageMakerInferenceComponentInvocationsPerCopy"], coalesce(var.tracking.metric, var.target.kind == "async" ? "-" : local._kind.metrics[0]))
    error_message = "${var.name}: tracking.requests_per_second is for metrics of invocations; give tracking.value for any other."
  }
  validation {
    condition     = var.tracking == null ? true : alltrue([for seconds in [var.tracking.scale_in_cooldown_s, var.tracking.scale_out_cooldown_s] : seconds >= 0 && floor(seconds) == seconds]) && var.tracking.scale_in_cooldown_s >= var.tracking.scale_out_cooldown_s
    error_message = "${var.name}: tracking's cooldowns must be whole seconds, and scale_in_cooldown_s no less than scale_out_cooldown_s, or capacity would be taken away faster than it comes."
  }
  validation {
    condition     = contains(["Average", "Maximum", "Minimum", "SampleCount", "Sum"], try(coalesce(var.tracking.custom.statistic, "Average"), "Average"))
    error_message = "${var.name}: tracking.custom.statistic must be Average, Maximum, Minimum, SampleCount or Sum."
  }
}

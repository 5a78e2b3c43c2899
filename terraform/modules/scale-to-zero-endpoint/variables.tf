variable "component_name" {
  description = "Name of the inference component. Null: the endpoint's name and -component."
  type        = string
  default     = null

  validation {
    condition     = can(regex("^[a-zA-Z0-9](-*[a-zA-Z0-9])*$", coalesce(var.component_name, "${var.name}-component"))) && length(coalesce(var.component_name, "${var.name}-component")) <= 63
    error_message = "The inference component's name \"${coalesce(var.component_name, "${var.name}-component")}\" must have up to 63 letters, digits and hyphens, with no hyphen at either end. Set component_name, or shorten the endpoint's name."
  }
}

variable "config_name" {
  description = "Name of the endpoint's configuration, to which a hyphen and eight digits of a content hash are added. Null: the endpoint's name."
  type        = string
  default     = null

  validation {
    condition     = can(regex("^[a-zA-Z0-9](-*[a-zA-Z0-9])*$", coalesce(var.config_name, var.name))) && length(coalesce(var.config_name, var.name)) <= 54
    error_message = "The configuration's name \"${coalesce(var.config_name, var.name)}\" must have up to 54 letters, digits and hyphens, with no hyphen at either end: SageMaker takes 63 and the hash needs 9. Set config_name where the endpoint's own name is longer."
  }
}

variable "kms_key_arn" {
  description = "ARN of the KMS key for the instances' volumes, where the host has no disks of its own. Null: SageMaker's own key."
  type        = string
  default     = null

  validation {
    condition     = var.kms_key_arn == null || can(regex("^arn:[a-z-]+:kms:[a-z0-9-]+:\\d{12}:key/.+$", var.kms_key_arn))
    error_message = "${var.name}: kms_key_arn must be a key's ARN, not an alias: arn:aws:kms:<region>:<account>:key/<id>."
  }
}

variable "log_retention_days" {
  description = "Days for which the logs are kept; 0 keeps them for ever."
  type        = number
  default     = 30
  nullable    = false

  validation {
    condition     = contains([0, 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653], var.log_retention_days)
    error_message = "${var.name}: log_retention_days must be a period that CloudWatch offers: 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288 or 3653 days, or 0 for ever."
  }
}

variable "model" {
  description = "The model to serve, made for this inference component (component_name). Takes the huggingface-model module as it is."
  type = object({
    image_uri = optional(string, "")
    name      = string
    role_arn  = string
    vpc = optional(object({
      security_group_ids = list(string)
      subnet_ids         = list(string)
    }))
  })
  nullable = false

  validation {
    condition     = alltrue([for refusal in try(local._types[var.scale_to_zero.instance_type].refused, []) : !can(regex(refusal.pattern, var.model.image_uri))])
    error_message = "${var.name}: ${join(" ", [for refusal in try(local._types[var.scale_to_zero.instance_type].refused, []) : "The image is not for ${var.scale_to_zero.instance_type}. ${refusal.remedy}" if can(regex(refusal.pattern, var.model.image_uri))])}"
  }
}

variable "name" {
  description = "Name of the endpoint. It stays, whatever changes behind it."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-zA-Z](-*[a-zA-Z0-9])*$", var.name)) && length(var.name) <= 63
    error_message = "The endpoint's name \"${var.name}\" must begin with a letter and have up to 63 letters, digits and hyphens, with no hyphen at the end."
  }
}

variable "network_isolation" {
  description = "Cut the containers off from every network, even from S3."
  type        = bool
  default     = false
  nullable    = false
}

variable "scale_to_zero" {
  description = <<-EOT
    What runs when somebody asks: instance_type, from min copies of the model (0) to max. memory_mb is what a copy
    is guaranteed (of an instance's memory SageMaker hands out only a part), cpu_cores its cores on instances
    without a GPU; inference_ami, the host's image, is picked by the container image's CUDA version. tracking and schedules are those of modules/autoscaling. Without a request nothing runs; the
    first request then fails with "no capacity", starts a copy, and succeeds minutes later.
  EOT
  type = object({
    cpu_cores     = optional(number, 2)
    inference_ami = optional(string)
    instance_type = string
    max           = optional(number, 1)
    memory_mb     = optional(number, 1024)
    min           = optional(number, 0)
    schedules = optional(map(object({
      max      = optional(number)
      min      = optional(number)
      schedule = string
      timezone = optional(string, "UTC")
    })), {})
    startup_timeout_s = optional(number, 1200)
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
    }), { requests_per_second = 10 })
  })
  nullable = false

  validation {
    condition     = contains(keys(local._types), var.scale_to_zero.instance_type)
    error_message = "${var.name}: ${var.scale_to_zero.instance_type} is no instance type of SageMaker endpoints. ${var.scale_to_zero.instance_type == "ml.g4dn.large" ? "The smallest g4dn is ml.g4dn.xlarge: use ml.g4dn.xlarge." : "Write, for example, ml.g5.xlarge (GPU) or ml.c7i.xlarge (CPU)."}"
  }
  validation {
    condition     = try(local._types[var.scale_to_zero.instance_type].hardware != "neuron", true) && !startswith(var.scale_to_zero.instance_type, "ml.t2.")
    error_message = "${var.name}: scale_to_zero runs on CPU and NVIDIA GPU instances other than ml.t2. Take ml.c7i.xlarge, ml.g4dn.xlarge or ml.g5.xlarge."
  }
  validation {
    condition     = var.scale_to_zero.memory_mb >= 128 && floor(var.scale_to_zero.memory_mb) == var.scale_to_zero.memory_mb
    error_message = "${var.name}: scale_to_zero.memory_mb must be a whole number of at least 128. Begin with 1024: SageMaker keeps much of an instance's memory to itself, and refuses what does not fit."
  }
  validation {
    condition     = var.scale_to_zero.cpu_cores >= 0.25
    error_message = "${var.name}: scale_to_zero.cpu_cores must be at least 0.25."
  }
  validation {
    condition     = var.scale_to_zero.startup_timeout_s >= 60 && var.scale_to_zero.startup_timeout_s <= 3600 && floor(var.scale_to_zero.startup_timeout_s) == var.scale_to_zero.startup_timeout_s
    error_message = "${var.name}: scale_to_zero.startup_timeout_s must be whole seconds from 60 to 3600."
  }
  validation {
    condition     = var.scale_to_zero.min >= 0 && var.scale_to_zero.max >= max(1, var.scale_to_zero.min) && floor(var.scale_to_zero.min) == var.scale_to_zero.min && floor(var.scale_to_zero.max) == var.scale_to_zero.max
    error_message = "${var.name}: scale_to_zero.min (${var.scale_to_zero.min}) and max (${var.scale_to_zero.max}) must be whole numbers, min no more than max, and max at least 1."
  }
}

variable "tags" {
  description = "Tags for the stack, the log groups and the alarm, in addition to the provider's default_tags. CloudFormation hands them on to the endpoint."
  type        = map(string)
  default     = {}
  nullable    = false
}

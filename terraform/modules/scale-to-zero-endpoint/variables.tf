variable "component_name" {
  description = "Name of the inference component; defaults to the endpoint's name and -component."
  type        = string
  default     = null

  validation {
    condition = (
      can(regex("^[a-zA-Z0-9](-*[a-zA-Z0-9])*$", coalesce(var.component_name, "${var.name}-component"))) &&
      length(coalesce(var.component_name, "${var.name}-component")) <= 63
    )
    error_message = join(" ", [
      "The inference component's name \"${coalesce(var.component_name, "${var.name}-component")}\" must have up to",
      "63 letters, digits and hyphens, with no hyphen at either end.",
      "Set component_name, or shorten the endpoint's name.",
    ])
  }
}

variable "config_name" {
  description = "Name of the endpoint configuration, before its hash; defaults to the endpoint's name."
  type        = string
  default     = null

  validation {
    condition = (
      can(regex("^[a-zA-Z0-9](-*[a-zA-Z0-9])*$", coalesce(var.config_name, var.name))) &&
      length(coalesce(var.config_name, var.name)) <= 54
    )
    error_message = join(" ", [
      "The configuration's name \"${coalesce(var.config_name, var.name)}\" must have up to 54 letters, digits and",
      "hyphens, with no hyphen at either end: SageMaker accepts 63 and the hash needs 9.",
      "Set config_name if the endpoint's own name is longer.",
    ])
  }
}

variable "kms_key_arn" {
  description = "KMS key ARN for volumes of instances without local disks; null uses SageMaker's key."
  type        = string
  default     = null

  validation {
    condition = (
      var.kms_key_arn == null ||
      can(regex("^arn:[a-z-]+:kms:[a-z0-9-]+:\\d{12}:key/.+$", var.kms_key_arn))
    )
    error_message = join(" ", [
      "${var.name}: kms_key_arn must be a key's ARN, not an alias:",
      "arn:aws:kms:<region>:<account>:key/<id>.",
    ])
  }
}

variable "log_retention_days" {
  description = "Days for which logs are kept; 0 keeps them forever."
  type        = number
  default     = 30
  nullable    = false

  validation {
    condition = contains(
      [0, 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653],
      var.log_retention_days,
    )
    error_message = join(" ", [
      "${var.name}: log_retention_days must be a period that CloudWatch offers: 1, 3, 5, 7, 14, 30, 60, 90, 120,",
      "150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288 or 3653 days, or 0 to keep logs forever.",
    ])
  }
}

variable "model" {
  description = "The model to serve, created with the same component_name; accepts a huggingface-model module."
  type = object({
    # URI of the container image, which must suit the instance type.
    image_uri = optional(string, "")
    # Name of the SageMaker model.
    name = string
    # ARN of the execution role.
    role_arn = string
    # VPC that the containers are attached to.
    vpc = optional(object({
      # Ids of the security groups.
      security_group_ids = list(string)
      # Ids of the subnets.
      subnet_ids = list(string)
    }))
  })
  nullable = false
}

variable "name" {
  description = "Name of the endpoint and, with -stack, of its stack; it does not change."
  type        = string
  nullable    = false

  validation {
    condition = can(regex("^[a-zA-Z](-*[a-zA-Z0-9])*$", var.name)) && length(var.name) <= 63
    error_message = join(" ", [
      "The endpoint's name \"${var.name}\" must begin with a letter and have up to 63 letters, digits and hyphens,",
      "with no hyphen at the end.",
    ])
  }
}

variable "network_isolation" {
  description = "Whether the containers have no network, not even S3."
  type        = bool
  default     = false
  nullable    = false
}

variable "scale_to_zero" {
  description = "Instance type, resources and scaling of the model's copies."
  type = object({
    # CPU cores of each copy, at least 0.25; only on instances without a GPU.
    cpu_cores = optional(number, 2)
    # Whether instances cache image and model, for faster scale-out; the cache goes with its instance.
    data_cache = optional(bool, false)
    # Host image (InferenceAmiVersion); chosen by the container image's CUDA version.
    inference_ami = optional(string)
    # Instance type, such as ml.g5.xlarge (GPU) or ml.c7i.xlarge (CPU).
    instance_type = optional(string)
    # 2 to 5 types instead of instance_type, tried in this order.
    instance_types = optional(list(string))
    # Largest number of copies of the model.
    max = optional(number, 1)
    # Memory of each copy, at least 128; SageMaker reserves part of an instance's memory.
    memory_mb = optional(number, 1024)
    # Metrics in CloudWatch; by default SageMaker's own choice.
    metrics = optional(object({
      # Whether SageMaker scrapes the container's /metrics, and publishes metrics of GPUs and hosts.
      detailed = optional(bool, true)
      # Whether metrics are also published for each instance and container.
      enhanced = optional(bool, false)
      # Seconds between publications: 10, 30, 60, 120, 180, 240 or 300.
      period_s = optional(number, 60)
    }))
    # Smallest number of copies of the model.
    min = optional(number, 0)
    # Seconds for which instances of instance_types are sought, 300 to 3600.
    provision_timeout_s = optional(number)
    # Moves copies onto fewer instances; by default only empty instances are released.
    scale_in = optional(object({
      # Minutes after the last change of the endpoint, 5 to 1440.
      cooldown_minutes = optional(number, 20)
      # Instances to release at a time, 1 to 100.
      max_instances = optional(number, 1)
    }))
    # Scheduled changes of min and max; see modules/autoscaling.
    schedules = optional(map(object({
      max      = optional(number)
      min      = optional(number)
      schedule = string
      timezone = optional(string, "UTC")
    })), {})
    # Seconds for the download and the start of the model, 60 to 3600.
    startup_timeout_s = optional(number, 1200)
    # Target tracking; see modules/autoscaling.
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
    condition = (var.scale_to_zero.instance_type == null) != (var.scale_to_zero.instance_types == null)
    error_message = join(" ", [
      "${var.name}: set scale_to_zero.instance_type, or scale_to_zero.instance_types with 2 to 5 types in order of",
      "preference, and not both.",
    ])
  }
  validation {
    condition = var.scale_to_zero.instance_types == null ? true : (
      length(var.scale_to_zero.instance_types) >= 2 && length(var.scale_to_zero.instance_types) <= 5 &&
      length(distinct(var.scale_to_zero.instance_types)) == length(var.scale_to_zero.instance_types) &&
      length(distinct([for type in var.scale_to_zero.instance_types : try(local._types[type].hardware, "")])) == 1
    )
    error_message = join(" ", [
      "${var.name}: scale_to_zero.instance_types must be 2 to 5 different types, all with a GPU or all without,",
      "because one image runs on all of them.",
    ])
  }
  validation {
    condition = alltrue([
      for type in concat([var.scale_to_zero.instance_type], coalesce(var.scale_to_zero.instance_types, [])) :
      type == null ? true : contains(keys(local._types), type)
    ])
    error_message = join(" ", [
      "${var.name}: ${join(", ", compact(concat(
        [var.scale_to_zero.instance_type],
        coalesce(var.scale_to_zero.instance_types, []),
      )))} is not an instance type of SageMaker endpoints.",
      coalesce(var.scale_to_zero.instance_type, "-") == "ml.g4dn.large" ?
      "The smallest g4dn is ml.g4dn.xlarge: use ml.g4dn.xlarge." :
      "Use, for example, ml.g5.xlarge (GPU) or ml.c7i.xlarge (CPU).",
    ])
  }
  validation {
    condition = alltrue([
      for type in concat([var.scale_to_zero.instance_type], coalesce(var.scale_to_zero.instance_types, [])) :
      type == null ? true : try(local._types[type].hardware != "neuron", true) && !startswith(type, "ml.t2.")
    ])
    error_message = join(" ", [
      "${var.name}: scale_to_zero supports CPU and NVIDIA GPU instances other than ml.t2.",
      "Use ml.c7i.xlarge, ml.g4dn.xlarge or ml.g5.xlarge.",
    ])
  }
  validation {
    condition = var.scale_to_zero.provision_timeout_s == null ? true : (
      var.scale_to_zero.instance_types != null &&
      var.scale_to_zero.provision_timeout_s >= 300 &&
      var.scale_to_zero.provision_timeout_s <= 3600 &&
      floor(var.scale_to_zero.provision_timeout_s) == var.scale_to_zero.provision_timeout_s
    )
    error_message = join(" ", [
      "${var.name}: scale_to_zero.provision_timeout_s requires instance_types, and must be whole seconds from 300 to",
      "3600.",
    ])
  }
  validation {
    condition = var.scale_to_zero.scale_in == null ? true : (
      var.scale_to_zero.scale_in.cooldown_minutes >= 5 && var.scale_to_zero.scale_in.cooldown_minutes <= 1440 &&
      floor(var.scale_to_zero.scale_in.cooldown_minutes) == var.scale_to_zero.scale_in.cooldown_minutes &&
      var.scale_to_zero.scale_in.max_instances >= 1 && var.scale_to_zero.scale_in.max_instances <= 100 &&
      floor(var.scale_to_zero.scale_in.max_instances) == var.scale_to_zero.scale_in.max_instances
    )
    error_message = join(" ", [
      "${var.name}: scale_to_zero.scale_in.cooldown_minutes must be whole minutes from 5 to 1440, and max_instances a",
      "whole number from 1 to 100.",
    ])
  }
  validation {
    condition = (
      var.scale_to_zero.memory_mb >= 128 &&
      floor(var.scale_to_zero.memory_mb) == var.scale_to_zero.memory_mb
    )
    error_message = join(" ", [
      "${var.name}: scale_to_zero.memory_mb must be a whole number of at least 128.",
      "Start with 1024: SageMaker reserves much of an instance's memory, and rejects copies that do not fit.",
    ])
  }
  validation {
    condition     = contains([10, 30, 60, 120, 180, 240, 300], try(var.scale_to_zero.metrics.period_s, 60))
    error_message = "${var.name}: scale_to_zero.metrics.period_s must be 10, 30, 60, 120, 180, 240 or 300."
  }
  validation {
    condition     = var.scale_to_zero.cpu_cores >= 0.25
    error_message = "${var.name}: scale_to_zero.cpu_cores must be at least 0.25."
  }
  validation {
    condition = (
      var.scale_to_zero.startup_timeout_s >= 60 &&
      var.scale_to_zero.startup_timeout_s <= 3600 &&
      floor(var.scale_to_zero.startup_timeout_s) == var.scale_to_zero.startup_timeout_s
    )
    error_message = "${var.name}: scale_to_zero.startup_timeout_s must be whole seconds from 60 to 3600."
  }
  validation {
    condition = (
      var.scale_to_zero.min >= 0 &&
      var.scale_to_zero.max >= max(1, var.scale_to_zero.min) &&
      floor(var.scale_to_zero.min) == var.scale_to_zero.min &&
      floor(var.scale_to_zero.max) == var.scale_to_zero.max
    )
    error_message = join(" ", [
      "${var.name}: scale_to_zero.min (${var.scale_to_zero.min}) and max (${var.scale_to_zero.max}) must be whole",
      "numbers, min no more than max, and max at least 1.",
    ])
  }
}

variable "tags" {
  description = "Tags for the stack, its resources, log groups and alarm, in addition to default_tags."
  type        = map(string)
  default     = {}
  nullable    = false
}

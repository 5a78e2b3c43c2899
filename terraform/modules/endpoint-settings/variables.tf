variable "endpoints" {
  description = "The root's endpoints by key, reduced to the attributes that this module reads."
  type = map(object({
    autoscaling = optional(object({
      max  = optional(number)
      min  = optional(number)
      step = optional(object({ metric_name = string }))
    }))
    data_capture  = optional(object({ path = string }))
    endpoint_name = optional(string)
    instance_type = optional(string)
    kms_key_arn   = optional(string)
    model = object({
      dimensions = optional(number)
      hardware   = optional(string)
      kind       = optional(string)
      prompts    = optional(object({ document = optional(string), query = optional(string) }), {})
    })
    network_isolation = optional(bool, false)
    realtime = optional(object({
      async = optional(object({
        error_topic_arn   = optional(string)
        failure_path      = optional(string)
        input_path        = string
        output_path       = string
        success_topic_arn = optional(string)
      }))
      instance_count = optional(number, 1)
      instance_type  = string
      variants = optional(map(object({
        instance_count = optional(number, 1)
        model = optional(object({
          dimensions = optional(number)
          kind       = optional(string)
          prompts    = optional(object({ document = optional(string), query = optional(string) }), {})
        }), {})
      })), {})
    }))
    renamed_from = optional(string)
    scale_to_zero = optional(object({
      instance_type  = optional(string)
      instance_types = optional(list(string))
    }))
    serverless = optional(object({
      max_concurrency         = optional(number, 10)
      memory_size_in_mb       = optional(number)
      provisioned_concurrency = optional(number)
    }))
    vpc = optional(object({ subnet_ids = list(string) }))
  }))
  nullable = false
}

variable "name" {
  description = "Name of the project, the first part of every resource name."
  type        = string
  nullable    = false
}

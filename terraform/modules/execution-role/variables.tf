variable "alarm_names" {
  description = "Names of the alarms that deployments of the endpoint are watched by, whose state SageMaker looks up under this role."
  type        = list(string)
  default     = []
  nullable    = false
}

variable "artifact" {
  description = "S3 URI of the model package that the container downloads. Null when there is none: no S3 permission is given then."
  type        = string
  default     = null

  validation {
    condition     = var.artifact == null || can(regex("^s3://[^/]+/.+$", var.artifact))
    error_message = "artifact must be the URI of one object, such as s3://my-models/minilm/model.tar.gz."
  }
}

variable "component_name" {
  description = "Name of the inference component that the model runs in, where it runs in one: the role may write to its log group too."
  type        = string
  default     = null
}

variable "endpoint_name" {
  description = "Name of the endpoint that runs under this role: it may write to this endpoint's log group only."
  type        = string
  nullable    = false
}

variable "image_uri" {
  description = "URI of the container image in ECR: the role may pull from its repository only."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^\\d{12}\\.dkr\\.ecr(-fips)?\\.[a-z0-9-]+\\.[^/]+/[^:@]+", var.image_uri))
    error_message = "image_uri must be in ECR: <account>.dkr.ecr.<region>.amazonaws.com/<repository>:<tag>. SageMaker pulls from nowhere else."
  }
}

variable "name" {
  description = "Name of the role. Role names are shared by all regions of an account."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[A-Za-z0-9+=,.@_-]{1,64}$", var.name))
    error_message = "The role's name \"${var.name}\" must have 1 to 64 letters, digits or +=,.@_- characters: give a shorter name or endpoint key."
  }
}

variable "permissions_boundary" {
  description = "ARN of the policy that bounds the role, where the organisation demands one."
  type        = string
  default     = null

  validation {
    condition     = var.permissions_boundary == null || can(regex("^arn:[a-z-]+:iam::(\\d{12}|aws):policy/.+$", var.permissions_boundary))
    error_message = "permissions_boundary must be a policy's ARN: arn:aws:iam::<account>:policy/<name>."
  }
}

variable "storage" {
  description = <<-EOT
    What the endpoint reads and writes beside its model: read_paths and write_paths are S3 URIs of prefixes
    (requests and answers of asynchronous inference, captured data), topic_arns the SNS topics that it tells of
    finished requests, kms_key_arn the key that all of these and the instances' volumes are encrypted with.
  EOT
  type = object({
    kms_key_arn = optional(string)
    read_paths  = optional(list(string), [])
    topic_arns  = optional(list(string), [])
    write_paths = optional(list(string), [])
  })
  default  = {}
  nullable = false

  validation {
    condition     = alltrue([for path in concat(var.storage.read_paths, var.storage.write_paths) : can(regex("^s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]/[^*?]+$", path))])
    error_message = "storage.read_paths and write_paths must be S3 URIs of prefixes, such as s3://my-bucket/answers. Not so: ${join(", ", [for path in concat(var.storage.read_paths, var.storage.write_paths) : path if !can(regex("^s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]/[^*?]+$", path))])}."
  }
  validation {
    condition     = alltrue([for arn in var.storage.topic_arns : can(regex("^arn:[a-z-]+:sns:[a-z0-9-]+:\\d{12}:[A-Za-z0-9_-]{1,256}$", arn))])
    error_message = "storage.topic_arns must be ARNs of SNS topics: arn:aws:sns:<region>:<account>:<name>."
  }
  validation {
    condition     = var.storage.kms_key_arn == null || can(regex("^arn:[a-z-]+:kms:[a-z0-9-]+:\\d{12}:key/.+$", var.storage.kms_key_arn))
    error_message = "storage.kms_key_arn must be a key's ARN, not an alias: arn:aws:kms:<region>:<account>:key/<id>."
  }
}

variable "tags" {
  description = "Tags for the role, in addition to the provider's default_tags."
  type        = map(string)
  default     = {}
  nullable    = false
}

variable "vpc" {
  description = "Subnets and security groups that the endpoint's network interfaces are put into; null: none of the account's."
  type = object({
    security_group_ids = list(string)
    subnet_ids         = list(string)
  })
  default = null
}

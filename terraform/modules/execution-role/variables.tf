variable "alarm_names" {
  description = "Names of the endpoint's rollback alarms, which SageMaker describes with this role."
  type        = list(string)
  default     = []
  nullable    = false
}

variable "artifact" {
  description = "S3 URI of the model package; null grants no access to S3."
  type        = string
  default     = null

  validation {
    condition     = var.artifact == null || can(regex("^s3://[^/]+/.+$", var.artifact))
    error_message = "artifact must be the URI of one object, such as s3://my-models/minilm/model.tar.gz."
  }
}

variable "component_name" {
  description = "Name of the inference component, if any, to whose log group the role may write."
  type        = string
  default     = null
}

variable "endpoint_name" {
  description = "Name of the endpoint; the role may write only to its log group."
  type        = string
  nullable    = false
}

variable "image_uri" {
  description = "URI of the container image in ECR; the role may pull only from its repository."
  type        = string
  nullable    = false

  validation {
    condition = can(regex("^\\d{12}\\.dkr\\.ecr(-fips)?\\.[a-z0-9-]+\\.[^/]+/[^:@]+", var.image_uri))
    error_message = join(" ", [
      "image_uri must be in ECR: <account>.dkr.ecr.<region>.amazonaws.com/<repository>:<tag>.",
      "SageMaker supports no other registry.",
    ])
  }
}

variable "name" {
  description = "Name of the role, unique in all regions of the account."
  type        = string
  nullable    = false

  validation {
    condition = can(regex("^[A-Za-z0-9+=,.@_-]{1,64}$", var.name))
    error_message = join(" ", [
      "The role's name \"${var.name}\" must have 1 to 64 letters, digits or +=,.@_- characters.",
      "Shorten the name or the endpoint's key.",
    ])
  }
}

variable "permissions_boundary" {
  description = "ARN of the role's permissions boundary, if the organisation requires one."
  type        = string
  default     = null

  validation {
    condition = (
      var.permissions_boundary == null ||
      can(regex("^arn:[a-z-]+:iam::(\\d{12}|aws):policy/.+$", var.permissions_boundary))
    )
    error_message = "permissions_boundary must be a policy's ARN: arn:aws:iam::<account>:policy/<name>."
  }
}

variable "role_path" {
  description = "Path of the role, such as /embeddings/."
  type        = string
  default     = "/"
  nullable    = false

  validation {
    condition     = can(regex("^/([A-Za-z0-9._+=,@-]+/)*$", var.role_path))
    error_message = "role_path must begin and end with a slash, such as /embeddings/, or be a single one."
  }
}

variable "storage" {
  description = "S3 prefixes, SNS topics and KMS key that the endpoint uses besides its model."
  type = object({
    # ARN of the KMS key of S3 data, topics and volumes.
    kms_key_arn = optional(string)
    # S3 prefixes of asynchronous requests.
    read_paths = optional(list(string), [])
    # ARNs of the SNS topics for completed and failed requests.
    topic_arns = optional(list(string), [])
    # S3 prefixes of responses, failures and captured data.
    write_paths = optional(list(string), [])
  })
  default  = {}
  nullable = false

  validation {
    condition = alltrue([
      for path in concat(var.storage.read_paths, var.storage.write_paths) :
      can(regex("^s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]/[^*?]+$", path))
    ])
    error_message = join(" ", [
      "storage.read_paths and write_paths must be S3 URIs with a prefix, such as s3://my-bucket/answers.",
      "Paths are: ${join(", ", concat(var.storage.read_paths, var.storage.write_paths))}.",
    ])
  }
  validation {
    condition = alltrue([
      for arn in var.storage.topic_arns :
      can(regex("^arn:[a-z-]+:sns:[a-z0-9-]+:\\d{12}:[A-Za-z0-9_-]{1,256}$", arn))
    ])
    error_message = "storage.topic_arns must be ARNs of SNS topics: arn:aws:sns:<region>:<account>:<name>."
  }
  validation {
    condition = (
      var.storage.kms_key_arn == null ||
      can(regex("^arn:[a-z-]+:kms:[a-z0-9-]+:\\d{12}:key/.+$", var.storage.kms_key_arn))
    )
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
  description = "VPC of the endpoint's network interfaces; null uses SageMaker's own network."
  type = object({
    # Ids of the security groups.
    security_group_ids = list(string)
    # Ids of the subnets.
    subnet_ids = list(string)
  })
  default = null
}

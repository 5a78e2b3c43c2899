variable "artifact" {
  description = "S3 URI of the model package that the container downloads. Null when there is none: no S3 permission is given then."
  type        = string
  default     = null

  validation {
    condition     = var.artifact == null || can(regex("^s3://[^/]+/.+$", var.artifact))
    error_message = "artifact must be the URI of one object, such as s3://my-models/minilm/model.tar.gz."
  }
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

variable "tags" {
  description = "Tags for the role, in addition to the provider's default_tags."
  type        = map(string)
  default     = {}
  nullable    = false
}

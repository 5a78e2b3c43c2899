variable "async_output_buckets" {
  description = "Output buckets of asynchronous endpoints, which the check after an apply reads."
  type        = set(string)
  default     = []
  nullable    = false
}

variable "artifact_buckets" {
  description = "Buckets of model packages (model.artifact), which a plan reads."
  type        = set(string)
  default     = []
  nullable    = false
}

variable "aws_region" {
  description = "Region of the state and the deployments; defaults to AWS_REGION or the profile's region."
  type        = string
  default     = null
}

variable "branch" {
  description = "Branch that applies; another than main requires the same change in .github/workflows/."
  type        = string
  default     = "main"
  nullable    = false

  validation {
    condition = can(regex("^[A-Za-z0-9._/-]+$", var.branch))
    error_message = join(" ", [
      "branch must be the name of one branch, without patterns, because",
      "everyone who can push to it can plan.",
    ])
  }
}

variable "cost_allocation_tags" {
  description = "Tags to activate for cost allocation, such as Project; only in the organisation's payer account."
  type        = set(string)
  default     = []
  nullable    = false
}

variable "create_notifications_key" {
  description = "Whether to create the KMS key of notifications, at one dollar a month."
  type        = bool
  default     = true
  nullable    = false
}

variable "create_oidc_provider" {
  description = "Whether to create the account's OIDC provider for GitHub; an account can have only one."
  type        = bool
  default     = true
  nullable    = false
}

variable "github_environment" {
  description = "GitHub environment whose jobs may apply; .github/workflows/apply.yml must name the same one."
  type        = string
  default     = "production"
  nullable    = false

  validation {
    condition     = can(regex("^[A-Za-z0-9_-]+$", var.github_environment))
    error_message = "github_environment must be the name of one environment: letters, digits, hyphens and underscores."
  }
}

variable "name" {
  description = "Name of the project, as in the root; the roles manage resources named after it."
  type        = string
  nullable    = false

  validation {
    condition = (
      can(regex("^[a-z][a-z0-9]*(-[a-z0-9]+)*$", var.name)) &&
      length(var.name) <= 24 &&
      !can(regex("^(amazon|aws|cdk|sagemaker)(-|$)", var.name))
    )
    error_message = join(" ", [
      "name must begin with a lowercase letter and have up to 24 lowercase letters, digits and single hyphens",
      "between them, such as alex, and must not begin with amazon, aws, cdk or sagemaker, because AWS names resources",
      "of other projects so.",
    ])
  }
}

variable "repository" {
  description = "The GitHub repository that may deploy, as its tokens name it: owner/name or owner@id/name@id."
  type        = string
  nullable    = false

  validation {
    condition = can(regex("^([\\w-]+/[\\w.-]+|[\\w-]+@\\d+/[\\w.-]+@\\d+)$", var.repository))
    error_message = join(" ", [
      "repository must be one repository, as owner/name or, for repositories created, renamed or transferred since",
      "2026-07-15, owner@id/name@id, such as example@1234/embeddings@5678, without address and patterns, which could",
      "allow other repositories to deploy.",
    ])
  }
}

variable "shared_arns" {
  description = "ARNs of buckets, keys, topics and endpoints outside the project that its roles use."
  type        = set(string)
  default     = []
  nullable    = false

  validation {
    condition = alltrue([
      for arn in var.shared_arns :
      can(regex("^arn:[a-z-]+:(kms|s3|s3vectors|sagemaker|sns):[a-z0-9-]*:(\\d{12})?:[^*?]+$", arn))
    ])
    error_message = join(" ", [
      "shared_arns must be ARNs of single resources of KMS, S3, S3 Vectors, SageMaker or SNS, without patterns, which",
      "could allow the roles to use other projects, such as arn:aws:s3:::my-captures.",
    ])
  }
}

variable "trust_repository_name" {
  description = "Whether to trust tokens without ids too, while a repository changes to subjects with ids."
  type        = bool
  default     = false
  nullable    = false

  validation {
    condition = !var.trust_repository_name || strcontains(var.repository, "@")
    error_message = join(" ", [
      "trust_repository_name has no effect on a repository without ids: set repository to owner@id/name@id, or remove",
      "trust_repository_name.",
    ])
  }
}

variable "description" {
  description = "Description of the security group."
  type        = string
  nullable    = false
}

variable "https_description" {
  description = "Description of the rule that allows outbound HTTPS."
  type        = string
  nullable    = false
}

variable "name" {
  description = "Name of the security group."
  type        = string
  nullable    = false
}

variable "tags" {
  description = "Tags for the security group and its rule, in addition to the provider's default_tags."
  type        = map(string)
  default     = {}
  nullable    = false
}

variable "vpc" {
  description = "Subnets and security groups; a group is created if subnets have none. Null creates none."
  type = object({
    # Ids of existing security groups; with any, no group is created.
    security_group_ids = optional(list(string), [])
    # Ids of subnets; the first one decides the VPC of the group.
    subnet_ids = list(string)
  })
  default = null
}

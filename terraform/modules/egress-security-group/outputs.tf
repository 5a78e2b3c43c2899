output "created" {
  description = "Whether this module creates a security group."
  value       = local._creates
}

output "security_group_ids" {
  description = "Ids of the given or created security groups; empty without a VPC."
  value       = local.security_group_ids
}

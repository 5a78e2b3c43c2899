output "arn" {
  description = "ARN of the vector bucket or of the database cluster."
  value       = local._has_aurora ? one(aws_rds_cluster.vectors[*].arn) : local.bucket_arn

  depends_on = [aws_cloudformation_stack.vectors]
}

output "environment" {
  description = "Environment variables with which an application finds the store (VECTOR_STORE and others)."
  value       = local.environment

  # Whatever receives these settings can use the store.
  depends_on = [
    aws_cloudformation_stack.vectors,
    aws_rds_cluster_instance.vectors,
    aws_vpc_security_group_ingress_rule.clients,
  ]
}

output "kind" {
  description = "The kind of store: aurora or s3_vectors."
  value       = local._has_aurora ? "aurora" : "s3_vectors"
}

output "reading_environment" {
  description = "The same for an application that only searches, whose database user may only read."
  value       = local.reading_environment

  depends_on = [
    aws_cloudformation_stack.vectors,
    aws_rds_cluster_instance.vectors,
    aws_vpc_security_group_ingress_rule.clients,
  ]
}

output "reading_statements" {
  description = "IAM statements for searches."
  value       = local.reading_statements
}

output "security_group_ids" {
  description = "Ids of the database's security groups, which clients must reach on port 5432."
  value       = local.security_group_ids
}

output "writing_statements" {
  description = "IAM statements for ingestion."
  value       = local.writing_statements
}

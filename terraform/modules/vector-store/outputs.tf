output "arn" {
  description = "ARN of the vector bucket or of the database cluster."
  value       = local._has_aurora ? one(aws_rds_cluster.vectors[*].arn) : local.bucket_arn

  depends_on = [aws_cloudformation_stack.vectors]
}

output "environment" {
  description = "What an application reads to find the store (VECTOR_STORE and its settings), to be put into its environment."
  value       = local.environment

  # Who is told of the store can use it.
  depends_on = [aws_cloudformation_stack.vectors, aws_rds_cluster_instance.vectors, aws_vpc_security_group_ingress_rule.clients]
}

output "kind" {
  description = "Which store it is: aurora or s3_vectors."
  value       = local._has_aurora ? "aurora" : "s3_vectors"
}

output "reading_statements" {
  description = "IAM statements of who searches."
  value       = local.reading_statements
}

output "security_group_ids" {
  description = "Security groups of the database, where it has one: what connects to it must be let out to them on port 5432."
  value       = local.security_group_ids
}

output "writing_statements" {
  description = "IAM statements of who stores, which include those of who searches."
  value       = local.writing_statements
}

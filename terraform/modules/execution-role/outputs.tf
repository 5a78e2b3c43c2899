output "arn" {
  description = "ARN of the role, available once its policy is attached."
  value       = local.arn

  depends_on = [aws_iam_role.embeddings, aws_iam_role_policy.embeddings]
}

output "name" {
  description = "Name of the role."
  value       = aws_iam_role.embeddings.name
}

output "policy_json" {
  description = "The role's policy as JSON."
  value       = aws_iam_role_policy.embeddings.policy
}

output "arn" {
  description = "ARN of the role, handed out once its policy is attached, so that a model built on it can pull its image at once."
  value       = local.arn

  depends_on = [aws_iam_role.embeddings, aws_iam_role_policy.embeddings]
}

output "name" {
  description = "Name of the role."
  value       = aws_iam_role.embeddings.name
}

output "policy_json" {
  description = "The role's permissions, as the JSON that IAM holds."
  value       = aws_iam_role_policy.embeddings.policy
}

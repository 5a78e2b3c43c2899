output "arn" {
  description = "ARN of the model."
  value       = aws_sagemaker_model.embeddings.arn
}

output "artifact" {
  description = "S3 URI of the model package; null when the container brings or downloads its model."
  value       = var.model.artifact
}

output "artifact_size_gb" {
  description = "Size of the model's files in GB, where it is known: looked up for an artifact, else model.size_gb."
  value       = local.artifact_size_gb
}

output "container" {
  description = "What serves the model: tei, huggingface or custom."
  value       = local.container
}

output "environment" {
  description = "The container's environment variables, without the Hub token."
  value       = local.environment
}

output "hardware" {
  description = "What the image is for: cpu or gpu."
  value       = var.hardware
}

output "hub_id" {
  description = "The model's id on the Hugging Face Hub; null for an artifact or an image."
  value       = var.model.hub_id
}

output "image_size_gb" {
  description = "Size of an image of one's own in GB: model.size_gb, else the compressed size that ECR reports."
  value       = local.image_size_gb
}

output "image_uri" {
  description = "URI of the container image."
  value       = local.image_uri
}

output "name" {
  description = "Name of the model: the given name and a hash of its content."
  value       = aws_sagemaker_model.embeddings.name
}

output "role_arn" {
  description = "ARN of the role that SageMaker assumes to run the model."
  value       = module.execution_role.arn
}

output "vpc" {
  description = "Subnets and security groups that the containers are attached to; null without a VPC."
  value       = local.vpc
}

output "arn" {
  description = "ARN of the model."
  value       = aws_sagemaker_model.embeddings.arn
}

output "artifact" {
  description = "S3 URI of the model package, or null."
  value       = var.model.artifact
}

output "artifact_size_gb" {
  description = "Size of the model's files in GB, from model.size_gb or S3, or null."
  value       = local.artifact_size_gb
}

output "container" {
  description = "The container that serves the model: tei, huggingface or custom."
  value       = local.container
}

output "environment" {
  description = "The container's environment variables, without the Hub token."
  value       = local.environment
}

output "hardware" {
  description = "Hardware of the image: cpu or gpu."
  value       = var.hardware
}

output "hub_id" {
  description = "The model's Hugging Face Hub id; null for an artifact or an image."
  value       = var.model.hub_id
}

output "identity_tags" {
  description = "Tags with the model's Hub id and revision, as far as they are known."
  value       = local.identity_tags
}

output "image_size_gb" {
  description = "Size of a custom image in GB: model.size_gb, or the compressed size in ECR."
  value       = local.image_size_gb
}

output "image_uri" {
  description = "URI of the container image."
  value       = local.image_uri
}

output "kind" {
  description = "Kind of the model: embedding or reranker."
  value       = local.kind
}

output "model_id" {
  description = "The model's Hub id from hub_id or model_id, or null."
  value       = local.model_id
}

output "name" {
  description = "Name of the model, which ends in a hash of its content."
  value       = aws_sagemaker_model.embeddings.name
}

output "revision" {
  description = "The model's revision on the Hub, or null."
  value       = var.model.revision
}

output "role_arn" {
  description = "ARN of the role that SageMaker assumes to run the model."
  value       = local.role_arn
}

output "vpc" {
  description = "Subnets and security groups of the containers; null without a VPC."
  value       = local.vpc
}

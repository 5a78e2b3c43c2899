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

output "identity_tags" {
  description = "Tags that name the model and its revision, for the endpoint and its configuration; empty where the model is not known."
  value       = local.identity_tags
}

output "image_size_gb" {
  description = "Size of an image of one's own in GB: model.size_gb, else the compressed size that ECR reports."
  value       = local.image_size_gb
}

output "image_uri" {
  description = "URI of the container image."
  value       = local.image_uri
}

output "model_id" {
  description = "The model's id on the Hugging Face Hub: hub_id, or model_id of an artifact or an image; null where it is not known."
  value       = local.model_id
}

output "name" {
  description = "Name of the model: the given name and a hash of its content."
  value       = aws_sagemaker_model.embeddings.name
}

output "revision" {
  description = "The model's revision on the Hub; null where it is not known."
  value       = var.model.revision
}

output "role_arn" {
  description = "ARN of the role that SageMaker assumes to run the model."
  value       = module.execution_role.arn
}

output "vpc" {
  description = "Subnets and security groups that the containers are attached to; null without a VPC."
  value       = local.vpc
}

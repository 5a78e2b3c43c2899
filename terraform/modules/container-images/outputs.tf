output "images" {
  description = "Repository and tag by container (huggingface or tei) and hardware (cpu or gpu)."
  value       = local.images
}

output "inference_amis" {
  description = "Host images (InferenceAmiVersion) by CUDA version, such as cu129, that needs one."
  value       = local.inference_amis
}

output "regions" {
  description = "Regions in which AWS publishes these images."
  value       = local.regions
}

output "tei_releases" {
  description = "Releases of TEI by version: image_tags, cuda, inference_ami and truncates_by_default."
  value       = local.tei_releases
}

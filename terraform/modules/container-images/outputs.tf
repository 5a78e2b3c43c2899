output "images" {
  description = "Repository and tag by container (huggingface or tei) and hardware (cpu or gpu)."
  value       = local.images
}

output "regions" {
  description = "Regions in which AWS publishes these images."
  value       = local.regions
}

output "images" {
  description = "By container (huggingface or tei) and hardware (cpu or gpu): repository and tag."
  value       = local.images
}

output "regions" {
  description = "Regions in which AWS publishes these images."
  value       = local.regions
}

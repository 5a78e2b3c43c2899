output "inference_amis" {
  description = "Host images (InferenceAmiVersion) by CUDA version, such as cu124, that needs one."
  value       = local.inference_amis
}

output "types" {
  description = "Properties by instance type: architecture, gpus, hardware, local_storage and refused images."
  value       = local.types
}

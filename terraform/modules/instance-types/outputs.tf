output "inference_amis" {
  description = "The host image (InferenceAmiVersion) that a container image needs, by the CUDA version in its tag, such as cu124; none where the default host is new enough."
  value       = local.inference_amis
}

output "types" {
  description = "By instance type: hardware (cpu, gpu or neuron), gpus (how many), architecture (x86_64 or arm64), local_storage (whether the host has disks of its own) and refused (images that it does not run: a pattern of their addresses, and the remedy)."
  value       = local.types
}

output "types" {
  description = "By instance type: hardware (cpu, gpu or neuron), architecture (x86_64 or arm64), local_storage (whether the host has disks of its own) and tei (whether Text Embeddings Inference can use its GPUs)."
  value       = local.types
}

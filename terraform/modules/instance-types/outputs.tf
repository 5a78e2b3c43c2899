output "types" {
  description = "Properties by instance type: architecture, gpus, hardware, local_storage and refused images."
  value       = local.types
}

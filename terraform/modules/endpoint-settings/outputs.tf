output "endpoints" {
  description = "Derived settings by key: component_name, hardware, id, instance_type, kind, name, prefix, storage."
  value       = local.endpoints

  precondition {
    condition     = length(local._violations) == 0
    error_message = join("\n", local._violations)
  }
}

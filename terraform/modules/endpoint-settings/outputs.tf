output "endpoints" {
  description = "Derived settings by key: component_name, hardware, instance_type, kind, name, prefix and storage."
  value       = local.endpoints

  precondition {
    condition     = length(local._violations) == 0
    error_message = join("\n", local._violations)
  }
}

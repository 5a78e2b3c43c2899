output "prices" {
  description = "List prices in US dollars per hour, by region and by hosting/<type> or async/<type>, as far as known."
  value       = jsondecode(file("${path.module}/prices.json"))
}

output "types" {
  description = "Properties by instance type: architecture, gpus, hardware, local_storage and refused images."
  value       = local.types
}

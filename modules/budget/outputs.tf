output "id" {
  description = "ARM id of the budget."
  value       = azapi_resource.this.id
}

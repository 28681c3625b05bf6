output "id" {
  description = "ARM id of the assignment."
  value       = azapi_resource.this.id
}

output "principal_id" {
  description = "Object id of the system-assigned identity; null for a user-assigned one."
  value       = var.user_assigned_identity_id == null ? azapi_resource.this.identity[0].principal_id : null
}

output "state" {
  description = "Where the assignment stands, as `succeeded` or `failed`."
  value       = azapi_resource.this.output.state
}

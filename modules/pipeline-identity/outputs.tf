output "id" {
  description = "ARM id of the identity."
  value       = azapi_resource.identity.id
}

output "client_id" {
  description = "Client id that the pipeline signs in with."
  value       = azapi_resource.identity.output.client_id
}

output "principal_id" {
  description = "Object id of the identity's service principal, for role assignments."
  value       = azapi_resource.identity.output.principal_id
}

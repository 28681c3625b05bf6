output "id" {
  description = "ARM id of the stack."
  value       = azapi_resource.this.id
}

output "state" {
  description = "Where the stack stands, as `succeeded` or `failed`."
  value       = azapi_resource.this.output.state
}

output "outputs" {
  description = "Outputs of the template, as Azure gives them: an object of `type` and `value` by name."
  value       = azapi_resource.this.output.outputs
}

output "resource_ids" {
  description = "ARM ids of what the stack manages."
  value       = azapi_resource.this.output.resources
}

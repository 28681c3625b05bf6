# Made from the inputs, so that it can be read in the first plan; depends_on keeps users of it behind the group.
output "id" {
  description = "ARM id of the resource group."
  value       = "/subscriptions/${var.subscription_id}/resourceGroups/${var.name}"
  depends_on  = [azapi_resource.this]
}

output "name" {
  description = "Name of the resource group."
  value       = var.name
  depends_on  = [azapi_resource.this]
}

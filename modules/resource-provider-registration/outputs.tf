output "namespaces" {
  description = "The namespaces, once they were asked to be registered."
  value       = var.namespaces
  depends_on  = [azapi_resource_action.register]
}

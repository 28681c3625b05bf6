output "tags" {
  description = "The tags that this module keeps on `scope`, once they are set."
  value       = var.tags
  depends_on  = [azapi_update_resource.tags]
}

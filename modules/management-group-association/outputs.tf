output "management_group_id" {
  description = "Id of the management group that the subscription is in, once it has been placed and read back."
  value       = var.management_group_id
  depends_on  = [data.azapi_resource_list.after]
}

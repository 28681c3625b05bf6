output "subscription_id" {
  description = "Subscription of the tenant."
  value       = var.subscription_id
}

output "group_ids" {
  description = "Object ids of the groups, by role alias."
  value       = local.group_ids
}

output "resource_group_ids" {
  description = "Ids of the resource groups, by key."
  value = {
    platform = module.resource_group_platform.id
  }
}

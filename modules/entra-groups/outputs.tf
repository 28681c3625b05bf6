output "group_ids" {
  description = "Object id of each group, by the keys of `groups`."
  value       = { for key, group in azuread_group_without_members.this : key => group.object_id }
}

data "azuread_client_config" "caller" {}

# Without members: azuread_group would own the whole list and plan away whoever it did not add.
resource "azuread_group_without_members" "this" {
  for_each = var.groups

  display_name     = each.value.display_name
  description      = each.value.description == "" ? null : each.value.description
  security_enabled = true

  # Two groups of one name cannot be told apart by whoever grants rights to them. The error names the id to import.
  prevent_duplicate_names = true

  # An owner may add members, and so hand out what the group may do. Left out, owners are not compared, and one whom
  # somebody added would not show.
  owners = [data.azuread_client_config.caller.object_id]

  administrative_unit_ids = var.administrative_unit_id == null ? null : [var.administrative_unit_id]
}

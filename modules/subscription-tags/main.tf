locals {
  type = "Microsoft.Resources/tags@2021-04-01"
}

# Remembers which tags are ours: makes no call until it is destroyed, and then removes its one tag. The body holds the
# name only (Azure removes by name): azapi 2.12 fails an apply that changes the body of a `when = "destroy"` action.
resource "azapi_resource_action" "tag_off" {
  for_each = toset(keys(var.tags))

  type        = local.type
  resource_id = "${var.scope}/providers/Microsoft.Resources/tags/default"
  method      = "PATCH"
  when        = "destroy"
  body        = { operation = "Delete", properties = { tags = { (each.key) = "" } } }
}

# Reads all tags, lays ours over them and puts all back: tags of others stay. An azapi_resource would not do, because
# tags/default always exists (it refuses to create it) and would be owned whole once imported.
resource "azapi_update_resource" "tags" {
  count = length(var.tags) > 0 ? 1 : 0

  type                    = local.type
  parent_id               = var.scope
  name                    = "default"
  body                    = { properties = { tags = var.tags } }
  ignore_missing_property = false # the default hides that somebody removed a tag

  # The removals go first: read, merge and PUT would bring a tag back that is still there.
  depends_on = [azapi_resource_action.tag_off]
}

resource "azapi_resource" "this" {
  type      = "Microsoft.Resources/resourceGroups@2022-09-01"
  parent_id = "/subscriptions/${var.subscription_id}"
  name      = var.name
  location  = var.location
  body      = {}

  # What is sent is decided here; a catalogue of types inside the provider must not refuse or change it by its version.
  schema_validation_enabled = false

  lifecycle {
    # azapi compares tags as a whole, also where none are written: without this, each tag that another module, a policy
    # or a person has set would be planned away. With it, the tags that Azure has go along in every PUT.
    ignore_changes = [tags]

    # A new name or location is delete and create, and Azure deletes a resource group with everything in it. A group
    # that is to go is taken out of the configuration; then this line is gone as well.
    prevent_destroy = true
  }
}

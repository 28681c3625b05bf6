resource "azapi_resource" "identity" {
  type      = "Microsoft.ManagedIdentity/userAssignedIdentities@2023-01-31"
  parent_id = var.resource_group_id
  name      = var.name
  location  = var.location
  body      = {}

  # What is sent is decided here; a catalogue of types inside the provider must not refuse or change it by its version.
  schema_validation_enabled = false

  response_export_values = {
    client_id    = "properties.clientId"
    principal_id = "properties.principalId"
  }

  lifecycle {
    # azapi compares tags as a whole, also where none are written: without this, tags of others would be planned away.
    ignore_changes = [tags]
  }
}

resource "azapi_resource" "credential" {
  for_each = var.credentials

  type      = "Microsoft.ManagedIdentity/userAssignedIdentities/federatedIdentityCredentials@2023-01-31"
  parent_id = azapi_resource.identity.id
  name      = each.key

  body = {
    properties = {
      issuer    = each.value.issuer
      subject   = each.value.subject
      audiences = each.value.audiences
    }
  }

  schema_validation_enabled = false

  # Azure takes one writer at a time for the credentials of an identity.
  locks = [azapi_resource.identity.id]

  retry = {
    error_message_regex  = ["ConcurrentFederatedIdentityCredentialsWritesForSingleManagedIdentity"]
    interval_seconds     = 5
    max_interval_seconds = 30
  }

  timeouts {
    create = "10m"
  }
}

package main

import rego.v1

# No storage account is open to everybody.
deny contains msg if {
	some change in input.resource_changes
	startswith(change.change.after.type, "Microsoft.Storage/storageAccounts@")
	change.change.after.body.properties.allowBlobPublicAccess == true
	msg := sprintf("%s: blobs would be public", [change.address])
}

warn contains msg if {
	some change in input.resource_changes
	"delete" in change.change.actions
	msg := sprintf("%s would be deleted", [change.address])
}

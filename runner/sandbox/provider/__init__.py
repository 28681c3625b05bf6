"""Stand-ins for the azapi and azuread providers, used by the sandbox alone.

Where no registry can be reached the sandbox still plans and applies real Terraform. These providers speak Terraform's plugin
protocol 6 under the real source addresses, carry the schemas of azapi 2.12.0 and azuread 3.9.0 for the types the project uses, and
make the HTTP calls that those releases were observed to make. Their version numbers (`mirror.VERSIONS`) belong to no release, so a
lock file or a state shows which provider wrote it. They refuse every host but the sandbox's own (see `access`).

Reading order: `contract` (what a resource is), `azapi` and `azuread` (the resources), `protocol` (how Terraform reaches them),
`mirror` (how Terraform finds them). Nothing here imports the rest of the runner: a provider process starts a dozen times for each
tenant, and its start-up time is most of what a run in the sandbox costs.
"""

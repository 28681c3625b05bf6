"""Azure on loopback: Entra, Resource Manager, Graph and a function app, as far as landing zones need them.

`runner.sandbox.azure.server.Sandbox` runs it; `runner.sandbox.handle.read_handle` finds one that runs. Nothing is
imported here, so that finding costs no more than reading a file.
"""

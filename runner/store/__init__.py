"""What outlives a process: runs and their journals, Terraform states, sealed plans, and who is alive. See `opening.open_store`."""

"""The ways to people and programs: what is said in each channel's own form, and how it gets there. Fulfils `Courier`."""

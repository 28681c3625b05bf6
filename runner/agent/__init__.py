"""The private runner of a meshStack: claims building-block runs, executes them, reports. See README, "A meshStack's runner"."""

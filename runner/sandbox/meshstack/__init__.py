"""A meshStack on this machine: the API that a building-block runner talks to, pipelines it starts, and a git server for sources."""

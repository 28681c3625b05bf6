"""What people and pipelines touch over HTTP: the page and the API, over the same store and the same functions as the command line.

Nothing about a request is kept in memory between two of them, so any server on the same store answers any request, and each may be
killed. `desk` is where every wish is checked against what its actor may do; page and API only read requests and write answers.
"""

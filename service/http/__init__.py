"""The HTTP API: facts in, answers out, over the same writer and projections as the command line."""

"""A run on disk: its directory, its result, and what is kept of it elsewhere."""

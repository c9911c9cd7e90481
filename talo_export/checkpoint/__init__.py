"""Surgery on files: byte ranges of a checkpoint planned, overwritten, verified and undone."""

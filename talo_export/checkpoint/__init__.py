"""Surgery on checkpoint files: which bytes a knockout changes, and changing exactly those.

Works on headers and byte ranges. No model is built here and no tensor is ever held whole, so
memory does not depend on the size of the checkpoint; what has to run a model (`proof.py`) runs it
in another process.
"""

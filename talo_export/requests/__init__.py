"""What can be asked: one frozen dataclass a verb, every setting declared once.

To add an option, add a field here: the command, the Python function, their help and the line that
runs it again have it. `fields.py` says how a field is written, `settings.py` holds those that
several verbs share.
"""

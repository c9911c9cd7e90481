"""One file a verb: `run(request, reporter)` gives a typed result, `show(result, console)` shows it.

Nothing here prints. `summary` is the one sentence of `--quiet`; `warnings` and `exit_status` a
verb has where it needs them. A room is walked in the order data flows.
"""

"""Whole jobs, room by room: what a command or a Python caller asks for, from request to result.

A job takes plain values, walks the rooms in the order data flows, and returns one frozen result
with `to_json()`. It never prints: progress goes to a callback, and the caller shows the result.
"""

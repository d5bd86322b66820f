"""The composition root: the one place that knows every room, and joins them.

Refuses logic: what happens is decided in the rooms; here it is only said who talks to whom.
"""

"""What an operator can see: structured logs, the one list of metrics, health, supervised tasks.

Refuses to name anybody: no name, number, token or address ever becomes a log field or a label.
"""

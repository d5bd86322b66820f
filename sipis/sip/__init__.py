"""Sans-IO SIP: grammar, messages, framing, digest, the transaction and dialog machines.

Bytes, time and random text come in as arguments; values, bytes and deadlines go out.
Refuses sockets, tasks, clocks, randomness and policy: who may call whom is decided above.
"""

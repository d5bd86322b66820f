"""The UAC side: keeps the bindings of sleeping phones alive at their providers.

The store is the schedule. This room claims what is due, sends REGISTER, and writes back what came
of it; between two attempts a phone costs a row and nothing else.
Refuses to hold an object, a task or a timer per phone, to see a password (the vault answers
challenges), to answer a challenge for anything but a REGISTER of its own, and to decide over the
life of an instance: it reports, lifecycle decides.
"""

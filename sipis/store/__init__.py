"""The store: rows that survive a restart, and the schedule of every registration.

One function of a connection is one job: it runs whole, in one transaction, on the thread of its
connection. Every row of the main file has one fixed length per table, so that nothing of an
erased row stays behind; rows of varying length live in a second file that is vacuumed.

Refuses plaintext secrets (records arrive sealed), policy (callers say when and why) and statements
outside of jobs.
"""

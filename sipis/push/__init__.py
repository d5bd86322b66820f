"""Wakes phones: a notification in, a push per target out through APNs or FCM, outcomes as values.

Refuses to raise for what push services do every day (dead tokens, throttling, silence), to keep
anything on disk, to hold a private key (a `Signer` of the vault signs), and to put a caller or a
text in clear into a payload unless the app asked for it.
"""

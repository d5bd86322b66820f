"""Calls and messages: from the provider's request to the phone that has woken up.

Toward the provider this room is a UA, toward the app a registrar and a UA; a call is two dialogs
joined by one machine (RFC 7092, signalling only). It never touches media: SDP passes through.
Refuses to originate calls: nothing but responses and requests inside a dialog goes to a provider.
Refuses to answer a challenge, to show credentials to anybody, and to log who calls whom.
"""

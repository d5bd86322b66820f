"""The asyncio shell around the SIP core: sockets, flows, name resolution, one timer.

It is the only room that opens SIP sockets. Every destination is an IP literal that the network
policy has passed, whatever name it came from.
Refuses to decide anything about SIP: transactions live in the core, meaning in the rooms above.
"""

"""A SIP and push world on loopback that misbehaves on request: provider, handset, APNs, FCM, DNS.

Ships with the package: the demo, `sipis world` and the tests live in it, and app developers use it
without an account at Apple or Google. It speaks the wire, never our own objects, and refuses to
know any room above the transport, so that it cannot share a misunderstanding with what it tests.
Nothing in it is fit to face the internet: its keys are thrown away when it ends.
"""

"""A push-notification relay server: it keeps a sleeping softphone's SIP account reachable."""

__version__ = "0.1.0"

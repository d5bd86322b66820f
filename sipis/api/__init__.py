"""The HTTP doors: the app API, the admin listener, the OpenAPI document.

Refuses to decide anything about an instance's life (lifecycle does) and is the only place where
errors become problem documents (RFC 9457).
"""

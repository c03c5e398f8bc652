"""Sign-in by an OpenID Connect issuer: the settings, the issuer asked over HTTP, and its ID tokens checked."""

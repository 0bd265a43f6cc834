"""Types, errors, settings and protocols that all other packages share."""

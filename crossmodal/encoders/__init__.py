"""Pictures and texts to unit vectors."""

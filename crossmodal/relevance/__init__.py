"""How likely a match fits its query: rules learned from a collection, and how they are learned."""

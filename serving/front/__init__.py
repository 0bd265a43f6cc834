"""The front node: one service in front of nodes that each have a slice of a collection's vectors."""

"""What can be taken away from a collection: its pictures, lists of them, contact sheets, and sidecars with keywords."""

"""Groups of duplicates in a collection, and the picture of each that is worth keeping."""

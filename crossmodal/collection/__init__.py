"""A collection on the disk: manifest, generations, verification, export and import."""

"""A collection on disk: manifest, generations, calibration, verification, export and import."""

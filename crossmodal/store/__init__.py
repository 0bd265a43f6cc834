"""Documents, vectors and thumbnails on the disk."""

"""Pictures: reading and fetching encoded bytes, decoding them to RGB, resizing, and contact sheets."""

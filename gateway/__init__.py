"""The doors: HTTP and gRPC in front of a Flow, and what starts and stops it."""

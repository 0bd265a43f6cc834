"""Everything that depends on Jina beyond its public API: the gateway, the Flows' processes, the patches."""

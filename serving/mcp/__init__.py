"""A read-only MCP server (Model Context Protocol) of a collection."""

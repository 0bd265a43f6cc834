"""The HTTP application: routes, wire shapes, and errors as status codes."""

"""How the library is served: Jina Flows (`jina/`), the HTTP application (`http/`) and its middleware."""

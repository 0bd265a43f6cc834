"""A small world of shapes of which everything is known: what is in it, how it looks, how it is spoken of."""

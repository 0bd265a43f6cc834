"""How a network runs, apart from what it computes."""

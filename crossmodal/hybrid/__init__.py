"""Search by words beside search by vectors: the indexes of words, what they find, and why."""

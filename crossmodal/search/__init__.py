"""From a query to complete results: retrieve, fuse, rank, judge relevance, hydrate."""

"""From a query to complete results: retrieval, fusion, ranking, relevance and hydration."""

"""Bulk encoding: from pictures to Parquet files that a collection imports, in this process or on a Ray cluster."""

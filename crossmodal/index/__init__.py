"""Dense vector indexes, and replicas that synchronise them with the store."""

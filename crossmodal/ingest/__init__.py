"""From the records of a data set to a collection that is in step with them."""

"""One file for each version of the schema, in order; none is changed after it was released."""

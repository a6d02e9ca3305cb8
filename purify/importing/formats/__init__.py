"""One module a foreign format; those with more to read have further modules named after it."""

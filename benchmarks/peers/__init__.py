"""The equivalents that a user would otherwise write, each the way its own community writes it."""

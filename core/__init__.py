"""The event core: the words every room speaks, and the decisions that must be safe. Standard library and msgspec."""

"""Adapters to the outside: the event bus, the stores, model servers, ticketing, language models."""

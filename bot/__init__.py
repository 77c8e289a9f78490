"""The roof: Slack in and out, the command line, and the one composition root."""

"""What people ask and tell: commands, free text, and what they read. Every answer cites where its numbers come from."""

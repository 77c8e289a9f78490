"""What the team knows: runbooks and their retrieval, lineage, and how past incidents ended."""

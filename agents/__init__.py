"""The investigating room: from an incident to one cited hypothesis. It reads ports, holds no credential, cannot act."""

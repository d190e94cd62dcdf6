"""What is the person's own: proof of who they are, data, files, notes, rights, erasure."""

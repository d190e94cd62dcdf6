"""Placements and the credits they earn: facts, postings, disputes, statements, proof."""

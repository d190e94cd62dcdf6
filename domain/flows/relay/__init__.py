"""From a consent to an agency: the gate, the hand-over, its record, what the agency answers."""

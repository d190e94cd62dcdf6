"""The house itself: accounts, sign-in, settings, the privacy officer's duties, keys."""

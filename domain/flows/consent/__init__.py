"""The person's yes and no as evidence; renewing, withdrawing, acknowledging."""

"""The ways to the form: the link in the notice, the public link, the one HR hands over."""

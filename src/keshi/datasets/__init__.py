"""Loaders of public data sets; each verifies a checksum."""

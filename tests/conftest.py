"""What holds for all tests."""

from hypothesis import settings

# A shared machine may pause in the middle of an example: how long one took says nothing.
settings.register_profile("keshi", deadline=None)
settings.load_profile("keshi")

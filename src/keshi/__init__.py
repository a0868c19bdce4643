"""keshi releases data, or representations of data, without releasing the people in them."""

__version__ = "0.1.0"

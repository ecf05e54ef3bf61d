"""A small world of our own: a language with known scores, so that all can be run and checked without a hub."""

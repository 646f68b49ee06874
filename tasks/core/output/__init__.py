"""The CSV of a run: how it is written, whose it is, and what becomes of the one that is there already."""

"""Benchmarks: every phase of DiffKG against its plain form, whole epochs, large data, growth.

``python -m benchmarks --help``. The plain forms are written here from the formulas; each pair is
first compared by value, then timed in turns.
"""

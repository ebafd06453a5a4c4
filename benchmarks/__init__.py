"""Benchmarks: every phase of DiffKG against its plain form, whole epochs, large data, growth.

``python -m benchmarks --help``. The plain forms are those of ``reference.py``; each pair is first
compared by value, then timed in turns.
"""

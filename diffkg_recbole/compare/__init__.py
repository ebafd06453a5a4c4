"""Comparisons: from one YAML file to finished runs, resumable, several at once."""

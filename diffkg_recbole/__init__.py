"""DiffKG and other knowledge-graph recommenders for RecBole."""

__version__ = "0.1.0"

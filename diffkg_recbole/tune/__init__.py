"""Search of hyper-parameters: on validation data alone, every model with the same budget."""

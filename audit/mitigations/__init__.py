"""What may make a model fairer, and the controls: plugins behind one interface."""

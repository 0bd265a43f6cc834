"""Training of the encoders and of the sparse models, with the recipes of the bundled weights."""

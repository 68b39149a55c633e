"""One training run; needs torch."""

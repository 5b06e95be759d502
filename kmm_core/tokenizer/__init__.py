"""Motion tokenizer: a residual VQ-VAE."""

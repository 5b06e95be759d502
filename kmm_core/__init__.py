"""KMM: text-to-motion with a key-frame masked Mamba (arXiv 2411.06481). Importing this package loads nothing else."""

__version__ = "0.1.0"

"""Motion file formats: each module reads or writes one format."""

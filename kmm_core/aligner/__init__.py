"""Contrastive text-motion alignment."""

"""Encoders: images and texts as vectors, for FID, KID, CMMD and CLIP scores."""

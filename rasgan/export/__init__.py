"""Meshes, pictures and web pages of voxel grids; does not need torch."""

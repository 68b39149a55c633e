"""From voxel grids to what people look at; needs no torch."""

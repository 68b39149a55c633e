"""From the internet to voxel grids; needs no torch."""

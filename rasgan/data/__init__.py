"""Download meshes and convert them to voxel grids. Does not need torch."""

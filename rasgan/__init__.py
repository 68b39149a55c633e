"""A relativistic average 3D-GAN on voxels; the scripts beside this package are its steps."""

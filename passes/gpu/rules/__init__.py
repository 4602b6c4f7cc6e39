"""One file for each family of GPU kernels."""

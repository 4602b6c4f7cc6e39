"""linalg → kernels: what is fused, and the loops of each kernel."""

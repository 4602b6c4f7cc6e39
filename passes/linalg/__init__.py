"""ix → linalg on tensors, one file per dialect family."""

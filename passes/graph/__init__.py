"""ix → ix: cheaper whole-tensor programs."""

"""Training: the loop, its recipe, the order of the images, and the files of a run."""

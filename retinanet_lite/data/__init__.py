"""Images with their objects: drawn scenes, and batches of them."""

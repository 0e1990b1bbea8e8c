"""Images with their objects, from a folder or drawn, and their way into a batch.

voc, coco   folders as Pascal VOC and COCO have them; folder, the checks that they share
images      image files → tensors
drawing     scenes of shapes are drawn here; scenes, data sets of them
transforms  what changes an image and its boxes: a new size, random changes
scaling     images come scaled to the network, boxes go back to the images' own pixels
batches     images and targets → one batch of images and annotations
"""

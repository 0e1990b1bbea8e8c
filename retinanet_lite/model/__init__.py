"""RetinaNet, plain: every line as in the notebooks, and nothing of the rest of the package.

backbone    image → C3, C4, C5                      notebook 01
fpn         C3, C4, C5 → P3 … P7                    02
heads       each level → logits and deltas          03
anchors     image size → anchors                    04
matching    which anchor learns which object        05
boxes       box ↔ deltas of an anchor               05
losses      focal loss and box loss                 05, 06
retinanet   all of it put together, first weights   07
detection   logits and deltas → boxes               09
builders    RetinaNets by name; imagenet, a backbone's known weights
input_checks  what wrong images and annotations are told
"""

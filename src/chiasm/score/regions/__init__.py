"""Boxes, masks and points in pictures: COCO, RefCOCO, mask overlap and the pointing game."""

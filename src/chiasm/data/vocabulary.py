"""Names to look for where nobody gives any: COCO's 80 objects, and scenes that most photos fall into."""

from __future__ import annotations


def _names(text: str) -> tuple[str, ...]:
    return tuple(" ".join(name.split()) for name in text.split(","))


COCO_OBJECTS = _names("""
    person, bicycle, car, motorcycle, airplane, bus, train, truck, boat, traffic light, fire hydrant, stop sign,
    parking meter, bench, bird, cat, dog, horse, sheep, cow, elephant, bear, zebra, giraffe, backpack, umbrella,
    handbag, tie, suitcase, frisbee, skis, snowboard, sports ball, kite, baseball bat, baseball glove, skateboard,
    surfboard, tennis racket, bottle, wine glass, cup, fork, knife, spoon, bowl, banana, apple, sandwich, orange,
    broccoli, carrot, hot dog, pizza, donut, cake, chair, couch, potted plant, bed, dining table, toilet, tv, laptop,
    mouse, remote, keyboard, cell phone, microwave, oven, toaster, sink, refrigerator, book, clock, vase, scissors,
    teddy bear, hair drier, toothbrush
""")

SCENES = _names("""
    kitchen, dining room, living room, bedroom, bathroom, office, classroom, library, corridor, staircase, restaurant,
    shop, gym, hospital room, museum, street, highway, parking lot, train station, airport, bridge, harbour, stadium,
    playground, park, garden, farm, field, forest, mountain, desert, beach, sea, river, lake, snowy slope, city skyline
""")

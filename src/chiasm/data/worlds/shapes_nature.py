"""How animals, plants and the things of the sky are drawn: in units of about 0 to 100, y downwards."""

from __future__ import annotations

import math
from collections.abc import Callable

from chiasm.data.worlds.pen import INK, LEAF, PAPER, SOOT, WOOD, Pen


def _eye(pen: Pen, x: float, y: float, radius: float) -> None:
    pen.disc(x, y, radius, PAPER)
    pen.disc(x, y, radius * 0.6, INK)


def draw_bird(pen: Pen) -> None:
    pen.line([(40, 70), (34, 92)], 4, INK)
    pen.line([(64, 70), (68, 92)], 4, INK)
    pen.polygon([(30, 48), (0, 34), (2, 50), (8, 60), (32, 66)], pen.tone(0.7))
    pen.oval(18, 34, 82, 78, pen.tone())
    pen.disc(76, 30, 20, pen.tone())
    pen.polygon([(94, 22), (112, 31), (94, 40)], (240, 170, 40))
    pen.polygon([(26, 44), (62, 44), (56, 62), (36, 66), (22, 60)], pen.tone(0.6))
    _eye(pen, 82, 26, 6)


def draw_butterfly(pen: Pen) -> None:
    for side in (-1, 1):
        pen.polygon([(50, 48), (50 + 14 * side, 14), (50 + 36 * side, 6), (50 + 48 * side, 16), (50 + 44 * side, 44),
                     (50 + 22 * side, 54)], pen.tone())  # fmt: skip
        pen.polygon([(50, 50), (50 + 26 * side, 50), (50 + 40 * side, 62), (50 + 36 * side, 82), (50 + 22 * side, 90),
                     (50 + 8 * side, 72)], pen.tone(0.72))  # fmt: skip
        pen.disc(50 + 32 * side, 24, 7, PAPER)
        pen.disc(50 + 24 * side, 70, 5, PAPER)
        pen.line([(50, 24), (50 + 10 * side, 2)], 3, INK)
    pen.oval(44, 20, 56, 82, INK)


def draw_cat(pen: Pen) -> None:
    pen.line([(70, 94), (90, 90), (94, 72), (86, 58)], 10, pen.tone(0.75))
    pen.polygon([(34, 52), (66, 52), (82, 100), (18, 100)], pen.tone(0.85))
    pen.oval(14, 68, 86, 106, pen.tone(0.85))
    pen.polygon([(14, 0), (20, 44), (46, 18)], pen.tone())
    pen.polygon([(86, 0), (80, 44), (54, 18)], pen.tone())
    pen.polygon([(19, 10), (23, 28), (34, 20)], (236, 170, 170))
    pen.polygon([(81, 10), (77, 28), (66, 20)], (236, 170, 170))
    pen.oval(12, 12, 88, 68, pen.tone())
    pen.oval(28, 30, 42, 46, INK)
    pen.oval(58, 30, 72, 46, INK)
    pen.polygon([(44, 48), (56, 48), (50, 55)], (90, 40, 50))
    for side in (-1, 1):
        pen.line([(50 + 18 * side, 53), (50 + 44 * side, 50)], 2, INK)
        pen.line([(50 + 18 * side, 57), (50 + 43 * side, 60)], 2, INK)
    pen.oval(34, 92, 48, 106, pen.tone(1.3))
    pen.oval(52, 92, 66, 106, pen.tone(1.3))


def draw_crab(pen: Pen) -> None:
    for side in (-1, 1):
        for reach, drop in ((40, 58), (42, 72), (36, 84)):
            knee = (50 + reach * side, drop)
            pen.line([(50 + 20 * side, 56), knee, (50 + (reach + 6) * side, drop + 12)], 6, pen.tone(0.7))
        pen.line([(50 + 24 * side, 50), (50 + 44 * side, 38)], 9, pen.tone(0.8))
        pen.disc(50 + 46 * side, 22, 18, pen.tone())
        pen.polygon([(50 + 44 * side, 24), (50 + 34 * side, 0), (50 + 52 * side, 0)], INK)
        pen.line([(50 + 10 * side, 46), (50 + 12 * side, 28)], 5, pen.tone(0.8))
        _eye(pen, 50 + 12 * side, 26, 8)
    pen.oval(18, 38, 82, 84, pen.tone())
    pen.arc(36, 52, 64, 76, 20, 160, 4, INK)


def draw_dog(pen: Pen) -> None:
    pen.line([(10, 48), (0, 22)], 10, pen.tone(0.85))
    for x, shade in ((16, 0.7), (60, 0.7), (6, 1.0), (50, 1.0)):
        pen.box(x, 58, x + 13, 96, pen.tone(shade), 4)
    pen.box(4, 38, 72, 74, pen.tone(), 14)
    pen.polygon([(50, 44), (60, 16), (86, 20), (76, 56)], pen.tone())
    pen.box(54, 4, 92, 40, pen.tone(), 12)
    pen.box(78, 20, 112, 40, pen.tone(1.25), 8)
    pen.disc(108, 24, 6, INK)
    pen.oval(52, 4, 68, 46, pen.tone(0.5))
    pen.disc(82, 17, 5, INK)
    pen.line([(57, 48), (74, 52)], 6, SOOT)


def draw_fish(pen: Pen) -> None:
    pen.polygon([(28, 40), (0, 12), (6, 40), (0, 70), (28, 44)], pen.tone(0.75))
    pen.polygon([(40, 22), (54, 2), (72, 18)], pen.tone(0.75))
    pen.polygon([(48, 58), (52, 78), (68, 60)], pen.tone(0.75))
    pen.oval(18, 12, 106, 70, pen.tone())
    pen.arc(46, 14, 76, 68, 300, 60, 4, pen.tone(0.55))
    _eye(pen, 90, 34, 8)
    pen.line([(97, 50), (104, 47)], 3, INK)


def draw_flower(pen: Pen) -> None:
    pen.line([(50, 50), (50, 116)], 7, LEAF)
    pen.oval(50, 86, 80, 102, LEAF)
    pen.oval(20, 94, 50, 110, LEAF)
    for k in range(6):
        angle = math.pi * k / 3 + math.pi / 6
        pen.disc(50 + 25 * math.cos(angle), 38 + 25 * math.sin(angle), 17, INK)
    for k in range(6):
        angle = math.pi * k / 3 + math.pi / 6
        pen.disc(50 + 25 * math.cos(angle), 38 + 25 * math.sin(angle), 15, pen.tone())
    pen.disc(50, 38, 13, (96, 62, 34))


def draw_mushroom(pen: Pen) -> None:
    pen.polygon([(36, 46), (64, 46), (70, 94), (30, 94)], (238, 226, 200))
    pen.oval(28, 86, 72, 102, (238, 226, 200))
    pen.pie(0, 0, 100, 104, 180, 360, pen.tone())
    pen.oval(0, 44, 100, 60, pen.tone(0.75))
    for x, y, r in ((50, 16, 9), (24, 32, 8), (76, 32, 8), (50, 40, 7)):
        pen.disc(x, y, r, (232, 224, 214))


def draw_tree(pen: Pen) -> None:
    pen.polygon([(42, 70), (58, 70), (63, 124), (37, 124)], WOOD)
    for x, y, r in ((26, 60, 24), (74, 60, 24), (28, 34, 24), (72, 34, 24), (50, 22, 24), (50, 58, 26)):
        pen.disc(x, y, r, pen.tone(0.82))
    for x, y, r in ((26, 54, 18), (68, 54, 18), (34, 32, 18), (66, 30, 18), (50, 18, 17), (50, 46, 20)):
        pen.disc(x, y, r, pen.tone())


def draw_apple(pen: Pen) -> None:
    pen.line([(50, 30), (54, 4)], 6, WOOD)
    pen.polygon([(54, 16), (66, 2), (86, 4), (78, 16), (64, 20)], LEAF)
    pen.oval(4, 20, 60, 86, pen.tone())
    pen.oval(40, 20, 96, 86, pen.tone())
    pen.oval(16, 46, 56, 98, pen.tone())
    pen.oval(44, 46, 84, 98, pen.tone())
    pen.oval(38, 20, 62, 32, pen.tone(0.6))
    pen.oval(16, 34, 28, 54, pen.tone(1.6))


def draw_star(pen: Pen) -> None:
    pen.star(50, 50, 52, 22, 5, pen.tone())
    pen.star(50, 50, 24, 11, 5, pen.tone(1.3))


def draw_moon(pen: Pen) -> None:
    outer = [(50 + 50 * math.cos(a / 20 * math.pi), 50 + 50 * math.sin(a / 20 * math.pi)) for a in range(7, 34)]
    inner = [(72 + 41 * math.cos(a / 20 * math.pi), 50 + 41 * math.sin(a / 20 * math.pi)) for a in range(30, 9, -1)]
    pen.polygon(outer + inner, pen.tone())
    pen.disc(18, 44, 6, pen.tone(0.8))
    pen.disc(27, 68, 5, pen.tone(0.8))
    pen.disc(30, 24, 4, pen.tone(0.8))


NATURE: dict[str, Callable[[Pen], None]] = {
    "apple": draw_apple,
    "bird": draw_bird,
    "butterfly": draw_butterfly,
    "cat": draw_cat,
    "crab": draw_crab,
    "dog": draw_dog,
    "fish": draw_fish,
    "flower": draw_flower,
    "moon": draw_moon,
    "mushroom": draw_mushroom,
    "star": draw_star,
    "tree": draw_tree,
}

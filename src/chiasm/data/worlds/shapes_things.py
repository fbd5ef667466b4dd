"""How made things are drawn: in units of about 0 to 100, y downwards."""

from __future__ import annotations

import math
from collections.abc import Callable

from chiasm.data.worlds.lettering import write
from chiasm.data.worlds.pen import GLASS, INK, PAPER, SOOT, STEEL, WOOD, Pen


def _wheel(pen: Pen, x: float, y: float, radius: float) -> None:
    pen.disc(x, y, radius, INK)
    pen.disc(x, y, radius * 0.5, STEEL)


def draw_airplane(pen: Pen) -> None:
    pen.polygon([(0, 6), (14, 6), (30, 34), (8, 40)], pen.tone(0.75))
    pen.polygon([(46, 38), (34, 12), (46, 12), (70, 38)], pen.tone(0.6))
    pen.polygon([(4, 30), (90, 30), (108, 38), (112, 46), (100, 54), (30, 54), (10, 44)], pen.tone())
    pen.polygon([(40, 44), (74, 44), (42, 80), (28, 80)], pen.tone(0.7))
    pen.polygon([(92, 32), (103, 38), (92, 39)], GLASS)
    for x in (34, 48, 62, 76):
        pen.disc(x, 38, 4, GLASS)


def draw_ball(pen: Pen) -> None:
    pen.disc(50, 50, 50, pen.tone())
    pole = (40.0, 36.0)
    rim = [(50 + 49.5 * math.cos(k * math.pi / 15), 50 + 49.5 * math.sin(k * math.pi / 15)) for k in range(31)]
    for start in (2, 12, 22):
        pen.polygon([pole, *rim[start : start + 6]], PAPER)
        for edge in (rim[start], rim[start + 5]):
            pen.line([pole, edge], 2, INK)
    pen.disc(*pole, 9, INK)
    pen.disc(*pole, 6.5, pen.tone())


def draw_bicycle(pen: Pen) -> None:
    for x in (24, 98):
        pen.disc(x, 62, 27, INK)
        pen.disc(x, 62, 18, STEEL)
    frame = pen.tone()
    pen.line([(24, 62), (44, 24), (88, 24), (58, 62), (24, 62)], 9, frame)
    pen.line([(44, 24), (58, 62)], 9, frame)
    pen.line([(98, 62), (84, 10)], 9, frame)
    pen.line([(84, 10), (100, 8)], 7, SOOT)
    pen.line([(42, 22), (40, 12)], 7, frame)
    pen.oval(26, 4, 56, 16, SOOT)
    pen.disc(58, 62, 7, SOOT)


def draw_boat(pen: Pen) -> None:
    pen.box(48, 0, 53, 78, WOOD)
    pen.polygon([(56, 4), (98, 64), (56, 64)], pen.tone(1.45))
    pen.polygon([(45, 14), (45, 64), (8, 64)], pen.tone(1.25))
    pen.polygon([(0, 70), (106, 70), (88, 100), (18, 100)], pen.tone())
    pen.polygon([(0, 70), (106, 70), (102, 78), (5, 78)], pen.tone(0.65))


def draw_book(pen: Pen) -> None:
    pen.box(4, 74, 84, 100, pen.tone(0.75), 8)
    pen.box(14, 78, 84, 94, PAPER, 4)
    pen.line([(16, 86), (82, 86)], 2, STEEL)
    pen.box(4, 0, 84, 82, pen.tone(), 6)
    pen.box(4, 0, 16, 90, pen.tone(0.65), 5)
    pen.box(30, 16, 72, 40, PAPER, 2)
    pen.line([(36, 24), (66, 24)], 3, SOOT)
    pen.line([(36, 32), (58, 32)], 3, SOOT)


def draw_bottle(pen: Pen) -> None:
    pen.box(21, 0, 39, 14, SOOT, 3)
    pen.box(22, 12, 38, 40, pen.tone(0.8))
    pen.polygon([(22, 30), (38, 30), (56, 52), (4, 52)], pen.tone())
    pen.box(4, 44, 56, 120, pen.tone(), 8)
    pen.box(4, 66, 56, 96, PAPER)
    pen.box(14, 74, 46, 88, STEEL, 3)


def draw_car(pen: Pen) -> None:
    pen.polygon([(22, 30), (34, 4), (78, 4), (98, 32)], pen.tone(0.85))
    pen.polygon([(31, 29), (39, 11), (54, 11), (54, 29)], GLASS)
    pen.polygon([(60, 29), (60, 11), (75, 11), (89, 29)], GLASS)
    pen.box(0, 28, 122, 60, pen.tone(), 12)
    pen.box(0, 48, 122, 60, pen.tone(0.7), 5)
    pen.box(112, 34, 122, 43, (250, 236, 170), 3)
    pen.box(66, 36, 76, 40, INK)
    _wheel(pen, 28, 60, 15)
    _wheel(pen, 94, 60, 15)


def draw_chair(pen: Pen) -> None:
    for x, y in ((26, 96), (66, 96)):
        pen.box(x, 58, x + 9, y, pen.tone(0.6))
    pen.box(14, 0, 68, 12, pen.tone(), 4)
    for x in (14, 28, 45, 59):
        pen.box(x, 4, x + 9, 56, pen.tone())
    pen.box(14, 24, 68, 33, pen.tone())
    pen.polygon([(14, 52), (68, 52), (84, 66), (4, 66)], pen.tone(1.25))
    pen.box(4, 64, 84, 76, pen.tone())
    for x in (4, 73):
        pen.box(x, 70, x + 11, 112, pen.tone())


def draw_clock(pen: Pen) -> None:
    pen.line([(24, 94), (14, 106)], 9, SOOT)
    pen.line([(76, 94), (86, 106)], 9, SOOT)
    pen.disc(19, 20, 17, pen.tone(0.75))
    pen.disc(81, 20, 17, pen.tone(0.75))
    pen.line([(24, 30), (76, 30)], 0.1, INK)
    pen.disc(50, 60, 46, INK)
    pen.disc(50, 60, 43, pen.tone())
    pen.disc(50, 60, 28, PAPER)
    pen.line([(50, 60), (50, 40)], 5, INK)
    pen.line([(50, 60), (64, 66)], 5, INK)


def draw_cup(pen: Pen) -> None:
    pen.ring(76, 52, 23, 10, pen.tone(0.8))
    pen.polygon([(4, 16), (76, 16), (70, 84), (10, 84)], pen.tone())
    pen.oval(10, 76, 70, 94, pen.tone())
    pen.oval(4, 4, 76, 28, pen.tone(1.35))
    pen.oval(12, 9, 68, 25, (84, 52, 34))
    pen.polygon([(14, 38), (22, 39), (25, 76), (19, 74)], pen.tone(1.5))


def draw_guitar(pen: Pen) -> None:
    pen.box(40, 0, 60, 20, WOOD, 4)
    for y in (4, 13):
        pen.line([(35, y), (65, y)], 4, STEEL)
    pen.disc(50, 74, 23, pen.tone())
    pen.disc(50, 106, 32, pen.tone())
    pen.box(33, 78, 67, 96, pen.tone())
    pen.box(45, 16, 55, 84, WOOD)
    pen.disc(50, 88, 12, INK)
    pen.box(38, 112, 62, 119, WOOD)
    pen.line([(50, 18), (50, 114)], 2, PAPER)


def draw_hat(pen: Pen) -> None:
    pen.oval(0, 48, 120, 78, pen.tone(0.85))
    pen.pie(24, 0, 96, 110, 180, 360, pen.tone())
    pen.box(24, 54, 96, 62, pen.tone())
    pen.polygon([(26, 40), (94, 40), (96, 56), (24, 56)], SOOT)
    pen.polygon([(50, 4), (70, 4), (64, 14), (56, 14)], pen.tone(0.7))


def draw_house(pen: Pen) -> None:
    pen.box(70, 4, 82, 32, (122, 96, 88))
    pen.box(10, 40, 90, 98, pen.tone())
    pen.polygon([(0, 46), (50, 0), (100, 46)], (96, 78, 76))
    pen.box(42, 64, 60, 98, WOOD)
    pen.disc(56, 82, 2.5, PAPER)
    for x in (18, 68):
        pen.box(x, 56, x + 16, 74, INK)
        pen.box(x + 2.5, 58.5, x + 13.5, 71.5, GLASS)


def draw_key(pen: Pen) -> None:
    pen.ring(24, 30, 26, 14, pen.tone())
    pen.box(46, 23, 116, 37, pen.tone())
    pen.box(84, 30, 94, 54, pen.tone())
    pen.box(102, 30, 114, 58, pen.tone())
    pen.box(48, 23, 116, 28, pen.tone(1.4))


def draw_lamp(pen: Pen) -> None:
    pen.box(43, 50, 53, 100, STEEL)
    pen.oval(20, 90, 76, 112, pen.tone(0.7))
    pen.polygon([(26, 0), (70, 0), (96, 58), (0, 58)], pen.tone())
    pen.polygon([(40, 0), (56, 0), (64, 58), (32, 58)], pen.tone(1.4))
    pen.polygon([(0, 58), (96, 58), (93, 50), (3, 50)], pen.tone(0.7))


def draw_phone(pen: Pen) -> None:
    pen.box(0, 0, 60, 112, pen.tone(), 10)
    pen.box(9, 14, 51, 88, SOOT, 2)
    pen.polygon([(9, 60), (51, 24), (51, 88), (9, 88)], (120, 150, 176))
    pen.disc(30, 100, 6, PAPER)
    pen.line([(23, 7), (37, 7)], 4, INK)


def draw_rocket(pen: Pen) -> None:
    pen.polygon([(34, 96), (66, 96), (50, 126)], (255, 190, 70))
    pen.polygon([(26, 62), (2, 84), (4, 104), (30, 94)], pen.tone(0.65))
    pen.polygon([(74, 62), (98, 84), (96, 104), (70, 94)], pen.tone(0.65))
    pen.polygon([(50, 0), (64, 16), (74, 40), (76, 70), (68, 98), (32, 98), (24, 70), (26, 40), (36, 16)], pen.tone())
    pen.polygon([(50, 0), (64, 16), (69, 28), (31, 28), (36, 16)], SOOT)
    pen.disc(50, 52, 14, INK)
    pen.disc(50, 52, 10, GLASS)
    pen.box(32, 88, 68, 98, SOOT)


def draw_shoe(pen: Pen) -> None:
    pen.polygon([(2, 6), (38, 6), (46, 26), (84, 38), (106, 46), (112, 62), (2, 62)], pen.tone())
    pen.polygon([(6, 2), (36, 2), (38, 14), (4, 14)], pen.tone(0.6))
    pen.oval(86, 40, 114, 74, pen.tone(1.4))
    pen.box(0, 58, 116, 74, (214, 210, 204), 6)
    pen.line([(2, 58), (112, 58)], 3, INK)
    for x, y in ((48, 24), (60, 29), (72, 34)):
        pen.line([(x, y), (x - 10, y + 12)], 5, SOOT)


def draw_sign(pen: Pen, word: str = "") -> None:
    pen.box(45, 50, 55, 92, SOOT)
    pen.box(0, 0, 100, 60, pen.tone(), 5)
    pen.box(3, 12, 97, 48, pen.tone(1.85), 1)
    write(pen, word.upper(), (6, 15, 94, 45), INK)


def draw_umbrella(pen: Pen) -> None:
    pen.line([(50, 40), (50, 92)], 6, SOOT)
    pen.arc(50 - 3, 80, 72, 104, 10, 180, 6, SOOT)
    pen.line([(50, 0), (50, 10)], 6, SOOT)
    pen.pie(0, 4, 100, 104, 180, 360, pen.tone())
    pen.pie(30, 4, 70, 104, 180, 360, pen.tone(1.35))
    for x in (0, 30, 70):
        width = 40 if x == 30 else 30
        pen.pie(x, 47, x + width, 61, 180, 360, INK)


THINGS: dict[str, Callable[[Pen], None]] = {
    "airplane": draw_airplane,
    "ball": draw_ball,
    "bicycle": draw_bicycle,
    "boat": draw_boat,
    "book": draw_book,
    "bottle": draw_bottle,
    "car": draw_car,
    "chair": draw_chair,
    "clock": draw_clock,
    "cup": draw_cup,
    "guitar": draw_guitar,
    "hat": draw_hat,
    "house": draw_house,
    "key": draw_key,
    "lamp": draw_lamp,
    "phone": draw_phone,
    "rocket": draw_rocket,
    "shoe": draw_shoe,
    "sign": draw_sign,
    "umbrella": draw_umbrella,
}

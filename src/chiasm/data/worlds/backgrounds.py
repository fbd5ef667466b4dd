"""What places look like without objects. Everything is in fractions of the picture, so any size shows the same view.

Colours stay paler or duller than those of objects, and nothing here resembles an object class (see `places.SCENERY`).
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import numpy as np

from chiasm.data.worlds.view import Color, View, channel


def _shifted(color: Color, by: int) -> Color:
    """`color` made lighter, or darker where `by` is negative."""
    r, g, b = (channel(c + by) for c in color)
    return r, g, b


def _mixed(first: Color, second: Color, share: float) -> Color:
    """`first` with `share` of `second` in it."""
    r, g, b = (channel(a * (1 - share) + z * share) for a, z in zip(first, second, strict=True))
    return r, g, b


def _beach(view: View) -> None:
    h = view.horizon
    sea = view.varied(view.rng.choice([(92, 170, 190), (84, 152, 184), (110, 186, 190)]))
    sky = view.varied(view.rng.choice([(150, 200, 232), (176, 214, 236), (224, 200, 190)]))
    shore = h + (1 - h) * 0.2
    view.gradient(0, h, sky, (226, 238, 240))
    view.clouds(view.rng.randint(0, 3), h * 0.7, (246, 248, 248))
    view.gradient(h, shore + 0.05, _shifted(sea, -24), sea)
    for k in range(3):
        waves = view.rng.uniform(3, 6)
        view.wave(h + (shore - h) * (0.25 + 0.28 * k), 0.004, waves, view.phase(), 0.008, (196, 224, 228))
    sand = view.varied((230, 208, 162))
    view.ridge(shore + 0.02, 0.014, (244, 246, 240), rough=0.1)
    view.ridge(shore + 0.04, 0.014, sand, rough=0.1)
    view.specks(40, shore + 0.07, 1, 0.008, [(206, 182, 134), (240, 222, 184), (190, 166, 124)])


def _desk(view: View) -> None:
    h = view.horizon
    wall = view.varied(view.rng.choice([(196, 200, 196), (206, 196, 186), (176, 190, 202), (188, 196, 178)]))
    view.gradient(0, h, wall, _shifted(wall, -18))
    for _ in range(view.rng.randint(1, 3)):
        x, y = view.rng.uniform(0.02, 0.75), view.rng.uniform(0.02, h - 0.26)
        w, t = view.rng.uniform(0.12, 0.24), view.rng.uniform(0.12, 0.2)
        view.box(x, y, x + w, y + t, (120, 112, 106))
        view.box(x + 0.015, y + 0.015, x + w - 0.015, y + t - 0.015, view.varied((212, 214, 210)))
        view.line([(x + 0.03, y + t * 0.5), (x + w - 0.03, y + t * 0.5)], 0.01, (160, 164, 164))
    wood = view.varied(view.rng.choice([(176, 132, 92), (150, 108, 76), (196, 158, 118)]))
    view.gradient(h, 1, _shifted(wood, -20), _shifted(wood, 12))
    view.line([(0, h), (1, h)], 0.015, _shifted(wood, -50))
    for k in range(5):
        waves = view.rng.uniform(0.5, 1.5)
        view.wave(h + (1 - h) * (0.15 + 0.18 * k), 0.006, waves, view.phase(), 0.006, _shifted(wood, -22))
    x, y = view.rng.uniform(0.05, 0.5), h + (1 - h) * view.rng.uniform(0.2, 0.5)
    slant = view.rng.uniform(-0.1, 0.1)
    sheet = [(x, y), (x + 0.3, y + slant * 0.3), (x + 0.36, y + 0.26), (x - 0.04, y + 0.24)]
    view.polygon(sheet, (232, 230, 222))
    for k in range(1, 5):
        view.line([(x + 0.02, y + 0.05 * k), (x + 0.28, y + 0.05 * k + slant * 0.2)], 0.006, (176, 180, 190))


def _farm(view: View) -> None:
    h = view.horizon
    view.gradient(0, h, view.varied((158, 202, 230)), (224, 234, 226))
    view.clouds(view.rng.randint(0, 3), h * 0.6, (244, 246, 246))
    view.ridge(h - 0.02, 0.04, view.varied((150, 178, 134)), rough=0.1)
    field = view.varied(view.rng.choice([(184, 196, 120), (206, 188, 120), (164, 188, 118)]))
    view.box(0, h, 1, 1, field)
    vanishing = view.rng.uniform(0.2, 0.8)
    dark = _shifted(field, -26)
    for k in range(-7, 9):
        foot = vanishing + (k - 0.5) * 0.34
        view.polygon([(vanishing + (k - 0.5) * 0.05, h), (foot, 1), (foot + 0.13, 1), (vanishing + k * 0.05, h)], dark)
    fence = view.varied((222, 212, 196))
    y = h + 0.015
    for k in range(11):
        x = k / 10 + view.rng.uniform(-0.01, 0.01)
        view.box(x - 0.01, y - 0.08, x + 0.01, y + 0.03, fence)
    for offset in (-0.055, -0.015):
        view.line([(0, y + offset), (1, y + offset)], 0.016, fence)


def _forest(view: View) -> None:
    h = view.horizon
    dusk = view.varied((112, 142, 112))
    view.gradient(0, h, dusk, _shifted(dusk, 40))
    bark = view.varied((96, 80, 64))
    floor = view.varied(view.rng.choice([(122, 116, 78), (104, 118, 76), (136, 112, 80)]))
    for layer, width in ((36, 0.035), (0, 0.06)):
        tint = _shifted(bark, layer)
        for _ in range(view.rng.randint(4, 6)):
            x, w = view.rng.random(), width * view.rng.uniform(0.7, 1.3)
            foot = h + (0.0 if layer else 0.05) + view.rng.uniform(0, 0.03)
            view.polygon([(x - w * 0.4, 0), (x + w * 0.4, 0), (x + w * 0.6, foot), (x - w * 0.6, foot)], tint)
    view.gradient(h - 0.01, 1, floor, _shifted(floor, -22))
    for k in range(14):
        shade = view.varied((78, 108, 70), 14)
        view.oval(k / 13 + view.rng.uniform(-0.03, 0.03), view.rng.uniform(-0.02, 0.08), 0.08, 0.07, shade)
    for k in range(12):
        x = k / 11
        shade = view.varied((98, 122, 78), 10)
        view.polygon([(x - 0.06, h + 0.06), (x + view.rng.uniform(-0.04, 0.04), h - 0.03), (x + 0.06, h + 0.06)], shade)
    view.specks(50, h + 0.1, 1, 0.014, [(150, 120, 76), (96, 104, 66), (134, 96, 62), (118, 132, 84)])


def _kitchen(view: View) -> None:
    h = view.horizon
    tile = view.varied(view.rng.choice([(214, 222, 222), (222, 214, 198), (196, 212, 214), (210, 218, 202)]))
    view.box(0, 0, 1, h, tile)
    joint = _shifted(tile, -32)
    step = view.rng.uniform(0.09, 0.14)
    for k in range(1, int(1 / step) + 1):
        view.line([(k * step, 0), (k * step, h)], 0.008, joint)
        if k * step < h:
            view.line([(0, k * step), (1, k * step)], 0.008, joint)
    if view.rng.random() < 0.6:
        x = view.rng.uniform(0.05, 0.6)
        view.box(x, 0.02, x + 0.34, 0.2, (128, 116, 104))
        view.box(x + 0.02, 0.02, x + 0.32, 0.18, (204, 224, 234))
        view.line([(x + 0.17, 0.02), (x + 0.17, 0.18)], 0.015, (128, 116, 104))
    top = view.varied(view.rng.choice([(164, 160, 156), (190, 168, 138), (142, 140, 146)]))
    edge = h + (1 - h) * 0.84
    view.gradient(h, edge, _shifted(top, -14), _shifted(top, 14))
    view.line([(0, h), (1, h)], 0.012, _shifted(top, -50))
    view.specks(26, h + 0.03, edge - 0.01, 0.006, [_shifted(top, -24), _shifted(top, 26)])
    front = view.varied((150, 120, 96))
    view.box(0, edge, 1, 1, front)
    view.box(0, edge, 1, edge + 0.02, _shifted(front, -40))
    for k in range(4):
        view.box(k / 4 + 0.02, edge + 0.035, k / 4 + 0.23, 1, _shifted(front, 18))
        view.box(k / 4 + 0.1, edge + 0.05, k / 4 + 0.15, edge + 0.06, (80, 72, 66))


def _night_sky(view: View) -> None:
    h = view.horizon
    night = view.varied(view.rng.choice([(26, 30, 66), (34, 26, 64), (16, 34, 62)]), 8)
    view.gradient(0, h + 0.05, night, _shifted(night, 44))
    glow = view.rng.choice([(40, 96, 100), (80, 60, 116), (58, 82, 120)])
    for k in range(view.rng.randint(1, 3)):
        y, phase = view.rng.uniform(0.08, 0.6), view.phase()
        for width, strength in ((0.09, 0.25), (0.045, 0.5)):
            view.wave(y, 0.05, 0.8 + 0.3 * k, phase, width, _mixed(night, glow, strength))
    view.ridge(h - 0.04, 0.05, (42, 44, 76), rough=0.6)
    view.ridge(h + 0.02, 0.03, (24, 28, 44), rough=0.2)
    view.ridge(h + 0.1, 0.02, (16, 22, 34), rough=0.2)


def _snow(view: View) -> None:
    h = view.horizon
    view.gradient(0, h, view.varied((168, 184, 204)), (214, 222, 230))
    view.ridge(h - 0.1, 0.1, view.varied((150, 164, 186)), peaks=4, rough=0.8)
    view.ridge(h - 0.01, 0.03, (206, 216, 228), rough=0.15)
    view.ridge(h + 0.04, 0.02, (226, 232, 240), rough=0.1)
    for k in range(4):
        y = h + (1 - h) * (0.3 + 0.2 * k)
        view.oval(view.rng.random(), y + 0.03, view.rng.uniform(0.2, 0.4), 0.035, (208, 218, 232))
        view.oval(view.rng.random(), y, view.rng.uniform(0.2, 0.4), 0.03, (238, 242, 246))
    for _ in range(view.rng.randint(14, 36)):
        r = view.rng.uniform(0.004, 0.009)
        view.oval(view.rng.random(), view.rng.random(), r, r, (252, 252, 254))


def _street(view: View) -> None:
    h = view.horizon
    sky = view.varied(view.rng.choice([(178, 200, 218), (206, 200, 200), (160, 176, 196)]))
    view.gradient(0, h, sky, (222, 224, 222))
    x = -0.02
    while x < 1:
        w, top = view.rng.uniform(0.13, 0.26), view.rng.uniform(-0.05, h * 0.55)
        wall = view.varied(view.rng.choice([(166, 156, 148), (146, 152, 162), (178, 162, 142), (150, 140, 136)]), 10)
        view.box(x, top, x + w, h, wall)
        pane = _shifted(wall, -44)
        columns = 3 if w > 0.19 else 2
        for row in range(4):
            y = top + 0.04 + 0.1 * row
            if y + 0.05 > h - 0.04:
                break
            for column in range(columns):
                left = x + w * (column + 0.25) / columns
                view.box(left, y, left + w * 0.5 / columns, y + 0.05, pane)
        x += w
    view.box(0, h, 1, h + 0.1, view.varied((184, 182, 178)))
    for k in range(12):
        view.line([(k / 11, h), (k / 11 * 1.2 - 0.1, h + 0.1)], 0.006, (156, 154, 150))
    view.box(0, h + 0.09, 1, h + 0.11, (142, 140, 138))
    road = view.varied((112, 112, 118), 8)
    view.gradient(h + 0.11, 1, road, _shifted(road, 10))
    y, shift = (h + 1.11) / 2, view.rng.random() * 0.25
    for k in range(-1, 4):
        left = k * 0.27 + shift
        view.polygon([(left, y), (left + 0.13, y), (left + 0.12, y + 0.03), (left - 0.01, y + 0.03)], (214, 210, 196))


def _underwater(view: View) -> None:
    h = view.horizon
    water = view.varied(view.rng.choice([(88, 172, 188), (80, 156, 186), (96, 178, 170)]))
    deep = _shifted(water, -48)
    view.gradient(0, 1, water, deep)
    for _ in range(view.rng.randint(2, 4)):
        x, lean, w = view.rng.uniform(-0.1, 0.9), view.rng.uniform(0.1, 0.35), view.rng.uniform(0.05, 0.12)
        tint = _shifted(water, 12)
        view.polygon([(x, 0), (x + w, 0), (x + w * 1.6 + lean, h), (x + w * 0.8 + lean, h)], tint)
    for _ in range(view.rng.randint(3, 6)):
        x, tall = view.rng.random(), view.rng.uniform(0.15, 0.4)
        sway = view.rng.uniform(-0.03, 0.03)
        weed = view.varied((60, 122, 104))
        stalk = [(x, h + 0.06), (x + sway, h - tall * 0.4), (x - sway, h - tall * 0.7), (x + sway, h - tall)]
        view.line(stalk, 0.025, weed)
    sand = view.varied((178, 178, 144))
    view.ridge(h + 0.02, 0.025, sand, rough=0.1)
    view.specks(26, h + 0.07, 1, 0.012, [(150, 152, 124), (198, 196, 164), (132, 144, 132)])
    for _ in range(view.rng.randint(5, 12)):
        x, y, r = view.rng.random(), view.rng.uniform(0, h), view.rng.uniform(0.008, 0.016)
        view.oval(x, y, r, r, (206, 232, 234))
        view.oval(x, y, r * 0.6, r * 0.6, water)


_PAINTERS: dict[str, Callable[[View], None]] = {
    "beach": _beach,
    "desk": _desk,
    "farm": _farm,
    "forest": _forest,
    "kitchen": _kitchen,
    "night sky": _night_sky,
    "snow": _snow,
    "street": _street,
    "underwater": _underwater,
}

_FINEST_OVERSAMPLED = 256


def paint_background(scene: str, horizon: float, seed: str, size: int) -> np.ndarray:
    """The empty place, float32 (size, size, 3) in [0, 255]. `seed` fixes every detail, whatever the size."""
    oversampling = 2 if size <= _FINEST_OVERSAMPLED else 1
    view = View(size * oversampling, Random(seed), horizon)
    _PAINTERS[scene](view)
    image = view.image.reduce(oversampling) if oversampling > 1 else view.image
    return np.array(image, np.float32)

"""Grow the retinal vessels of a drawn eye: arteries and veins leave the disc, arch around the macula and branch.

Every vessel is a walk that steers towards something: main vessels follow way points (two temporal arcades and
two nasal trunks, each an artery with its vein), branches head for the fovea or the periphery. Lengths are in radii
of the field of view; the origin is its centre; x points to the nose of a right eye (right in its photograph), y down.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

_STEP = 0.012
_THINNEST = 0.0028  # narrower branches belong to the capillaries, which no fundus camera resolves
_AVASCULAR_RADIUS = 0.09  # the foveal zone that vessels leave free
_FARTHEST = 1.04  # vessels end a little beyond the rim


@dataclass(frozen=True, eq=False)
class Vessel:
    """One unbranched vessel: points (N, 2) and diameters (N,) in radii of the field of view."""

    points: np.ndarray
    widths: np.ndarray
    is_artery: bool


@dataclass(frozen=True)
class Landmarks:
    """Centres x, y of optic disc and fovea and the disc's radius, all in radii of the field of view."""

    disc: tuple[float, float]
    fovea: tuple[float, float]
    disc_radius: float


def grow_vessels(random: np.random.Generator, landmarks: Landmarks) -> list[Vessel]:
    """Grow all vessels of one eye; in the list, each comes before its branches."""
    tree = _Tree(random, landmarks, tortuosity=random.uniform(0.5, 1.4))
    for is_artery in (False, True):
        caliber = random.uniform(0.025, 0.031) * (0.76 if is_artery else 1.0)
        for vertical in (-1.0, 1.0):
            tree.grow_arcade(vertical, caliber * random.uniform(0.9, 1.1), is_artery)
            tree.grow_nasal_trunk(vertical, 0.68 * caliber * random.uniform(0.9, 1.1), is_artery)
        for _ in range(random.integers(1, 4)):
            tree.grow_macular_twig(random.uniform(0.25, 0.35) * caliber, is_artery)
    return tree.vessels


class _Tree:
    """The vessels grown so far and what they all share."""

    def __init__(self, random: np.random.Generator, landmarks: Landmarks, tortuosity: float):
        self.random = random
        self.landmarks = landmarks
        self.tortuosity = tortuosity
        self.vessels: list[Vessel] = []

    def grow_arcade(self, vertical: float, width: float, is_artery: bool) -> None:
        """Grow a temporal arcade; `vertical` is -1 for the superior and 1 for the inferior one."""
        # Artery and vein run side by side, one of them nearer to the macula.
        is_outer = is_artery == (vertical > 0)
        height = vertical * (self.random.uniform(1.0, 1.12) if is_outer else self.random.uniform(0.82, 0.94))
        way = [
            (-0.02, 0.22),
            (-0.14, 0.40),
            (-0.40, 0.56),
            (-0.75, 0.60),
            (-1.10, 0.50),
            (-1.40, 0.34),
            (-1.8, 0.2),
        ]
        self._grow_trunk([(x, y * height) for x, y in way], width, is_artery)

    def grow_nasal_trunk(self, vertical: float, width: float, is_artery: bool) -> None:
        spread = vertical * self.random.uniform(0.7, 1.3)
        way = [(0.07, 0.15), (0.20, 0.32), (0.42, 0.56), (0.70, 0.80), (1.1, 1.2)]
        self._grow_trunk([(x, y * spread) for x, y in way], width, is_artery)

    def grow_macular_twig(self, width: float, is_artery: bool) -> None:
        """Grow a thin vessel from the temporal rim of the disc towards the fovea."""
        angle = math.pi + self.random.uniform(-0.9, 0.9)
        radius = 0.75 * self.landmarks.disc_radius
        start = self._from_disc((radius * math.cos(angle), radius * math.sin(angle)))
        self._grow(start, angle, width, 0.5, is_artery, self._towards_fovea, generation=2)

    def _grow_trunk(self, way: list[tuple[float, float]], width: float, is_artery: bool) -> None:
        way_points = [self._from_disc(point) for point in way]
        spread = 0.2 * self.landmarks.disc_radius
        scatter_x, scatter_y = self.random.normal(0.0, spread, 2)
        # Vessels enter through the nasal half of the cup.
        start = self._from_disc((scatter_x + 0.25 * self.landmarks.disc_radius, scatter_y))
        heading = math.atan2(way_points[0][1] - start[1], way_points[0][0] - start[0])
        remaining = list(way_points)

        def along_way(x: float, y: float) -> float:
            while len(remaining) > 1 and math.hypot(remaining[0][0] - x, remaining[0][1] - y) < 0.1:
                remaining.pop(0)
            return math.atan2(remaining[0][1] - y, remaining[0][0] - x)

        self._grow(start, heading, width, 2.6, is_artery, along_way, generation=0)

    def _grow(
        self,
        start: tuple[float, float],
        heading: float,
        width: float,
        length: float,
        is_artery: bool,
        steer: Callable[[float, float], float],
        generation: int,
    ) -> None:
        """Grow one vessel and its branches; `steer` gives the desired heading at a point."""
        points, headings = self._walk(start, heading, length, steer, generation)
        if len(points) < 4:
            return
        share = np.linspace(0.0, 1.0, len(points))
        widths = width * (1.0 - (0.6 if generation == 0 else 0.5) * share - 0.3 * share**8)
        if generation == 0:
            widths[:5] *= np.linspace(0.3, 1.0, 5)  # it emerges from the depth of the cup
        self.vessels.append(Vessel(points, widths, is_artery))
        if generation == 3:
            return

        spacing = (0.17, 0.19, 0.17)[generation]
        side = self.random.choice((-1.0, 1.0))
        position = self.random.uniform(0.5, 1.2) * spacing + (0.13 if generation == 0 else 0.0)
        while position < _STEP * len(points):
            index = int(position / _STEP)
            child_width = widths[index] * (0.28 + 0.5 * self.random.random() ** 1.6)
            if index < len(points) and child_width > _THINNEST:
                self._branch(points[index], headings[index], side, child_width, is_artery, generation + 1)
            side = -side if self.random.random() < 0.75 else side
            position += self.random.uniform(0.5, 1.7) * spacing

    def _branch(
        self, point: np.ndarray, heading: float, side: float, width: float, is_artery: bool, generation: int
    ) -> None:
        heading += side * self.random.uniform(0.45, 0.95)
        to_fovea = self._towards_fovea(*point)
        # A branch that leaves the arcade on its inner side feeds the macula, any other the periphery.
        inwards = math.cos(heading - to_fovea) > 0.25 and point[0] < self.landmarks.disc[0]
        steer = self._towards_fovea if inwards else self._towards_periphery
        length = min(1.1, 0.12 + 50.0 * width) * self.random.uniform(0.6, 1.2)
        if inwards:  # ends at the avascular zone at the latest, instead of circling it
            distance = math.hypot(point[0] - self.landmarks.fovea[0], point[1] - self.landmarks.fovea[1])
            length = min(length, self.random.uniform(0.75, 1.0) * distance)
        self._grow((point[0], point[1]), heading, width, length, is_artery, steer, generation)

    def _walk(
        self,
        start: tuple[float, float],
        heading: float,
        length: float,
        steer: Callable[[float, float], float],
        generation: int,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Points (N, 2) and headings (N,) from `start` until the length, the rim or the avascular zone is reached."""
        x, y = start
        points, headings = [(x, y)], [heading]
        # Main vessels hold their course; thin ones wander and wind more.
        obedience = 0.10 if generation == 0 else 0.035
        noise = self.tortuosity * (0.05, 0.065, 0.08, 0.09)[generation]
        turns = self.random.normal(0.0, noise, int(length / _STEP) + 1)
        turn = 0.0
        for random_turn in turns:
            turn = 0.75 * turn + random_turn
            wanted = steer(x, y) - heading
            heading += obedience * math.remainder(wanted, 2 * math.pi) + 0.5 * turn
            x, y = x + _STEP * math.cos(heading), y + _STEP * math.sin(heading)
            fovea_distance = math.hypot(x - self.landmarks.fovea[0], y - self.landmarks.fovea[1])
            if fovea_distance < _AVASCULAR_RADIUS or math.hypot(x, y) > _FARTHEST:
                break
            points.append((x, y))
            headings.append(heading)
        return np.array(points), np.array(headings)

    def _from_disc(self, offset: tuple[float, float]) -> tuple[float, float]:
        return self.landmarks.disc[0] + float(offset[0]), self.landmarks.disc[1] + float(offset[1])

    def _towards_fovea(self, x: float, y: float) -> float:
        return math.atan2(self.landmarks.fovea[1] - y, self.landmarks.fovea[0] - x)

    def _towards_periphery(self, x: float, y: float) -> float:
        """Heading away from a point between disc and fovea, from which peripheral vessels radiate."""
        center_x = 0.6 * self.landmarks.disc[0] + 0.4 * self.landmarks.fovea[0]
        center_y = 0.6 * self.landmarks.disc[1] + 0.4 * self.landmarks.fovea[1]
        return math.atan2(y - center_y, x - center_x)

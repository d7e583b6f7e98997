"""Fit a circle to points, some of which are outliers.

Rim points of a fundus photograph include outliers that would ruin a least-squares fit: orientation tabs and notches,
flat cuts, rims that vanish in the dark. RANSAC (Fischler and Bolles 1981) finds the circle that most points agree on;
Gauss-Newton steps on the geometric distance then refine it on those points alone. Where the rim of a stretched picture
is an ellipse, its proportions are found, with which it becomes a circle.
"""

from dataclasses import dataclass

import numpy as np

_TRIALS = 250
_TRIAL_POINTS = 400
_REFINEMENT_STEPS = 10
# Largest distance of an inlier from the circle, in radii: fundus cameras' apertures are round to half a percent.
_TOLERANCE = 0.006
_FEWEST_ELLIPSE_POINTS = 50


@dataclass(frozen=True)
class Circle:
    """A circle in pixel coordinates: (0, 0) is the centre of the upper left pixel."""

    center_x: float
    center_y: float
    radius: float

    def distance_inside(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Distance of points to the rim in pixels, positive inside the circle."""
        return self.radius - np.hypot(x - self.center_x, y - self.center_y)

    def scaled(self, factor: float) -> "Circle":
        """The same circle in a frame resized by `factor`: pixel centres move to (x + 1/2) factor - 1/2."""
        return Circle((self.center_x + 0.5) * factor - 0.5, (self.center_y + 0.5) * factor - 0.5, self.radius * factor)


def fit_circle(points: np.ndarray, smallest_radius: float, largest_radius: float) -> Circle | None:
    """Find the circle that most points lie on; None if there is none of an allowed radius.

    Args:
        points: (N, 2), x and y in pixels.
        smallest_radius, largest_radius: allowed range in pixels.
    """
    if len(points) < 3:
        return None
    random = np.random.default_rng(0)  # fixed: the same photograph must always give the same field of view
    trial_points = points[random.permutation(len(points))[:_TRIAL_POINTS]]
    corners = trial_points[random.integers(len(trial_points), size=(_TRIALS, 3))]
    center_x, center_y, radius = _circumscribed_circles(corners)
    allowed = (radius >= smallest_radius) & (radius <= largest_radius)
    if not allowed.any():
        return None
    center_x, center_y, radius = center_x[allowed, None], center_y[allowed, None], radius[allowed, None]
    distance = np.abs(np.hypot(trial_points[:, 0] - center_x, trial_points[:, 1] - center_y) - radius)
    best = np.argmax((distance < _TOLERANCE * radius).sum(axis=1))
    refined = _refine(points, Circle(float(center_x[best, 0]), float(center_y[best, 0]), float(radius[best, 0])))
    return refined if smallest_radius <= refined.radius <= largest_radius else None


def stretch_of_ellipse(points: np.ndarray) -> float | None:
    """Width over height of the upright ellipse that most points lie on; None if there is none.

    Found as circles are, with least squares of a x^2 + b y^2 + c x + d y = 1 on the points near it for the refinement.

    Args:
        points: (N, 2), x and y in pixels.
    """
    if len(points) < _FEWEST_ELLIPSE_POINTS:
        return None
    x, y = ((points - points.mean(axis=0)) / points.std()).T
    terms = np.column_stack([x**2, y**2, x, y])
    random = np.random.default_rng(0)
    trial_terms = terms[random.permutation(len(terms))[:_TRIAL_POINTS]]
    conics = np.linalg.pinv(trial_terms[random.integers(len(trial_terms), size=(_TRIALS, 4))]).sum(axis=2)
    conics = conics[(conics[:, :2] > 0).all(axis=1)]
    if not len(conics):
        return None
    best = conics[np.argmax((_distance_to_ellipses(trial_terms, conics) < _TOLERANCE).sum(axis=0))]
    for _ in range(_REFINEMENT_STEPS):
        near = terms[_distance_to_ellipses(terms, best[None])[:, 0] < _TOLERANCE]
        best = np.linalg.lstsq(near, np.ones(len(near)), rcond=None)[0]
        if not (best[:2] > 0).all():
            return None
    return float(np.sqrt(best[1] / best[0]))


def _distance_to_ellipses(terms: np.ndarray, conics: np.ndarray) -> np.ndarray:
    """Distance of N points to M ellipses, in radii, (N, M); terms (N, 4) and conics (M, 4) as above."""
    a, b, c, d = conics.T
    beyond_center = c**2 / (4 * a) + d**2 / (4 * b)
    return np.abs(np.sqrt((terms @ conics.T + beyond_center).clip(0) / (1 + beyond_center)) - 1)


def is_on_circle(points: np.ndarray, circle: Circle) -> np.ndarray:
    """Which of (N, 2) points lie on the circle within the tolerance of the fit; bool (N,)."""
    return np.abs(circle.distance_inside(points[:, 0], points[:, 1])) < _TOLERANCE * circle.radius


def _circumscribed_circles(corners: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Centres x, y and radii of the circles through (N, 3, 2) corners; the radius is infinite for collinear ones."""
    first = corners[:, 0]
    (second_x, second_y), (third_x, third_y) = (corners[:, 1] - first).T, (corners[:, 2] - first).T
    doubled_area = 2.0 * (second_x * third_y - second_y * third_x)
    second_squared, third_squared = second_x**2 + second_y**2, third_x**2 + third_y**2
    with np.errstate(divide="ignore", invalid="ignore"):
        x = (third_y * second_squared - second_y * third_squared) / doubled_area
        y = (second_x * third_squared - third_x * second_squared) / doubled_area
    radius = np.nan_to_num(np.hypot(x, y), nan=np.inf)
    return x + first[:, 0], y + first[:, 1], radius


def _refine(points: np.ndarray, circle: Circle) -> Circle:
    """Minimise the squared distance between rim and inliers, choosing the inliers anew at each step."""
    for _ in range(_REFINEMENT_STEPS):
        inliers = points[is_on_circle(points, circle)]
        if len(inliers) < 3:
            break
        offset = inliers - (circle.center_x, circle.center_y)
        distance = np.hypot(offset[:, 0], offset[:, 1])
        jacobian = np.column_stack([offset / distance[:, None], np.ones(len(inliers))])
        step = np.linalg.lstsq(jacobian, distance - circle.radius, rcond=None)[0]
        circle = Circle(
            circle.center_x + float(step[0]), circle.center_y + float(step[1]), circle.radius + float(step[2])
        )
    return circle

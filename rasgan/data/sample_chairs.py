"""Generate chairs and tables: data sets that need no download.

A chair is a list of parts. Each part is a *loft*: a stack of rings, connected ring to ring and closed at both
ends. So each part is a closed surface; parts may overlap.

Lengths are in voxels of a 64³ grid that the longest side of the chair fills. Axes as in ModelNet10::

        z (up)    the back is at large y, a sitting person looks towards -y,
        |         and x runs across the seat; the bounding box is centered at x = y = 0
        |    y
        |  /
        | /
        o------- x
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rasgan.data import meshes

GRID = 64  # the longest side of every chair, in voxels
TRAIN, TEST = 500, 100  # number of chairs in the sample set
MIN_THICKNESS = 1.5  # of a part, in voxels: any disc this wide (> sqrt 2) contains a voxel center
GAP = 3.6  # space between neighboring bars, in voxels: they stay apart on a grid half as fine

BASES = {"legs": 0.5, "pedestal": 0.25, "sled": 0.25}
BACKS = {"solid": 0.22, "slatted": 0.2, "ladder": 0.19, "open": 0.17, "rounded": 0.22}
ARMS = {"none": 0.5, "post": 0.16, "panel": 0.08, "loop": 0.1, "pad": 0.08, "hanging": 0.08}
SEATS = {"square": 0.45, "round": 0.3, "cushion": 0.25}

Part = tuple[np.ndarray, np.ndarray]
"""A closed surface: (v, 3) float vertices and (f, 3) int faces, wound counter-clockwise seen from outside."""


@dataclass(frozen=True)
class Style:
    """The style of a chair: one key each of `BASES`, `BACKS`, `ARMS` and `SEATS`.

    A rounded back may wrap around the seat; its ends are then the arms, "wrap".
    """

    base: str
    back: str
    arms: str
    seat: str


@dataclass(frozen=True)
class Frame:
    """The dimensions that several parts of a chair share, in voxels unless noted otherwise."""

    style: Style
    height: float
    seat_top: float
    seat_thick: float
    width: float  # of the seat
    depth: float  # of the seat
    power: float  # exponent of the superellipse that outlines the seat: 2 an ellipse, large a rectangle
    back_half: float  # half the distance of the back's posts, at the seat
    flare: float  # relative growth of that distance up to the top
    lean: float  # how far the top of the back is behind its foot
    curl: float  # exponent of the back's side profile: 1 straight, more bends backwards
    bow: float  # how far the middle of the back's top is behind its posts
    post: float  # thickness of the back, front to back

    @property
    def seat_middle(self) -> float:
        """Height of the middle of the seat's thickness; parts that end here end inside the seat."""
        return self.seat_top - self.seat_thick / 2

    def reach(self, x: float) -> float:
        """Half the depth of the seat at distance `x` from its center line."""
        return self.depth / 2 * max(0.0, 1 - abs(2 * x / self.width) ** self.power) ** (1 / self.power)

    def rise(self, z: float | np.ndarray) -> float | np.ndarray:
        """Relative height of `z` in the back: 0 at the seat and 1 at the top."""
        return np.clip((z - self.seat_top) / (self.height - self.seat_top), 0, 1)

    def half(self, z: float | np.ndarray) -> float | np.ndarray:
        """Half the distance of the back's posts at height `z`."""
        return self.back_half * (1 + self.flare * self.rise(z))

    def back_y(self, x: float | np.ndarray, z: float | np.ndarray) -> float | np.ndarray:
        """Return y of the middle of the back, at distance `x` from the center line and height `z`."""
        rise = self.rise(z)
        foot = self.reach(self.back_half) - self.post / 2 - 0.4
        across = 1 - np.minimum(np.abs(x) / self.half(z), 1) ** 2
        return foot + self.lean * rise**self.curl + self.bow * rise * across


def make_chair(rng: np.random.Generator) -> Part:
    """Make a chair with a random style and random proportions.

    The longest side of its bounding box is 64 voxels; its center is at x = y = 0, and its feet at z = 0.
    """
    return join(fit(make_parts(draw_style(rng), rng)))


def make_table(rng: np.random.Generator) -> Part:
    """Make a table with random proportions, as large as a chair."""
    return join(fit(make_table_parts(rng)))


def make_table_parts(rng: np.random.Generator) -> list[Part]:
    """Make the parts of a table: a chair's seat, as wide as a table top, on a chair's base."""
    base = str(rng.choice(list(BASES), p=list(BASES.values())))
    top = str(rng.choice(["square", "round"], p=[0.65, 0.35]))
    height, width = rng.uniform(24, 50), rng.uniform(44, GRID)
    depth = rng.uniform(0.5, 1) * width
    power = {"square": 14.0, "round": rng.uniform(2, 3.5)}[top]
    sizes = {"height": height, "seat_top": height, "seat_thick": rng.uniform(2.2, 5)}
    sizes |= {"width": width, "depth": depth, "power": power}
    back = {"back_half": width / 2, "flare": 0, "lean": 0, "curl": 1, "bow": 0, "post": 0}  # not used
    frame = Frame(Style(base, "none", "none", top), **sizes, **back)
    return [seat(frame, rng), *MAKE_BASE[base](frame, rng)]


def write_sample_set(
    folder: Path,
    seed: int = 0,
    train: int = TRAIN,
    test: int = TEST,
    progress: Callable[[int], object] = lambda step: None,
    kind: str = "chair",
) -> int:
    """Write shapes as FOLDER/chair/{train,test}/chair_0001.off and so on. Existing files are skipped.

    Each shape depends only on `kind` (a key of `KINDS`), `seed` and its own number. The first test shape has
    the number `TRAIN` + 1, so that sets of all sizes have the same test shapes. Returns how many files were
    written. Calls `progress`, such as ``tqdm.update``, with 1 after every shape, written or skipped.
    """
    written = 0
    tested = range(TRAIN + 1, TRAIN + test + 1)
    trained = [number for number in range(1, train + test + 1) if number not in tested][:train]
    for number in (*trained, *tested):
        part = "test" if number in tested else "train"
        path = Path(folder) / kind / part / f"{kind}_{number:04d}.off"
        if not path.exists():
            meshes.write_off(path, *KINDS[kind](np.random.default_rng([seed, number])))
            written += 1
        progress(1)
    return written


def draw_style(rng: np.random.Generator) -> Style:
    """Draw a random style."""
    base, back, arms, seat = (
        str(rng.choice(list(kinds), p=list(kinds.values()))) for kinds in (BASES, BACKS, ARMS, SEATS)
    )
    if arms == "panel" and seat == "round":  # a flat panel would be outside the edge of a round seat
        arms = "post"
    if back == "rounded" and arms != "none":  # its width varies with height: arms avoid it or are its ends
        arms = str(rng.choice(["wrap", "loop", "pad"], p=[0.5, 0.25, 0.25]))
        if arms == "wrap" and seat == "square":
            seat = "round"
    return Style(base, back, arms, seat)


def make_parts(style: Style, rng: np.random.Generator) -> list[Part]:
    """Make the parts of a chair of a given style, before the final fit into the grid."""
    frame = draw_frame(style, rng)
    backs = {"solid": solid_back, "slatted": slatted_back, "ladder": ladder_back}
    backs |= {"open": open_back, "rounded": rounded_back}
    return [
        seat(frame, rng),
        *MAKE_BASE[style.base](frame, rng),
        *backs[style.back](frame, rng),
        *arms(frame, rng),
    ]


def draw_frame(style: Style, rng: np.random.Generator) -> Frame:
    """Draw the shared dimensions of a chair that fits into the grid without scaling."""
    height = rng.uniform(52, 64)
    seat_thick = rng.uniform(5, 9) if style.seat == "cushion" else rng.uniform(2.2, 4.5)
    seat_top = height * rng.uniform(0.42, 0.54) + (rng.uniform(0, 2) if style.seat == "cushion" else 0)
    width = rng.uniform(30, 47)
    depth = rng.uniform(0.82, 1.08) * min(width, 43)
    soft_power = rng.uniform(2.3, 4) if style.back == "rounded" else rng.uniform(4, 9)
    power = {"square": 14.0, "round": rng.uniform(2.1, 3.5), "cushion": soft_power}[style.seat]
    back_height = height - seat_top
    back_half = width / 2 * (rng.uniform(0.62, 0.8) if style.seat == "round" else rng.uniform(0.8, 0.93))
    return Frame(
        *(style, height, seat_top, seat_thick, width, depth, power, back_half),
        flare=rng.uniform(-0.22, 0.12),
        lean=back_height * rng.uniform(0.02, 0.3),
        curl=rng.uniform(1, 1.5),
        bow=back_half * rng.uniform(0, 0.22),
        post=rng.uniform(2.1, 3.4),
    )


def seat(frame: Frame, rng: np.random.Generator) -> Part:
    """Make the seat: a slab, with rounded edges if it is a cushion."""
    rim = outline(frame, np.linspace(0, 2 * np.pi, 48, endpoint=False))
    bottom = frame.seat_top - frame.seat_thick
    if frame.style.seat != "cushion":
        return loft([lift(rim, bottom), lift(rim, frame.seat_top)])
    edge = frame.seat_thick * rng.uniform(0.2, 0.4)
    shrink = 1 - edge / (min(frame.width, frame.depth) / 2)
    lower = [lift(rim * shrink, bottom), lift(rim, bottom + edge)]
    upper = [lift(rim, frame.seat_top - edge), lift(rim * shrink, frame.seat_top)]
    return loft(lower + upper)


def outline(frame: Frame, angle: np.ndarray) -> np.ndarray:
    """Return (n, 2) points on the outline of the seat, a superellipse; angle 0 is +x, pi/2 the back."""
    cos, sin = np.cos(angle), np.sin(angle)
    x = frame.width / 2 * np.sign(cos) * np.abs(cos) ** (2 / frame.power)
    y = frame.depth / 2 * np.sign(sin) * np.abs(sin) ** (2 / frame.power)
    return np.stack([x, y], axis=1)


def legs(frame: Frame, rng: np.random.Generator) -> list[Part]:
    """Make four legs, straight, tapered or splayed, round or square, with or without rails."""
    thick = rng.uniform(2.2, 4.2)
    foot = max(thick * (1 if rng.random() < 0.4 else rng.uniform(0.5, 0.9)), 1.9)
    splay = 0 if rng.random() < 0.35 else rng.uniform(0.5, 5)
    is_round = rng.random() < 0.5
    inset = 0.72 if frame.style.seat == "round" else 0.9
    x_top = frame.width / 2 * inset - thick / 2
    y_top = min(frame.reach(x_top + thick / 2), frame.depth / 2 * inset) - thick / 2
    corners = [(sx, sy) for sx in (-1, 1) for sy in (-1, 1)]
    top = {(sx, sy): np.array([sx * x_top, sy * y_top, frame.seat_middle]) for sx, sy in corners}
    end = {(sx, sy): top[sx, sy] * [1, 1, 0] + splay * np.array([sx * 0.7, sy, 0]) for sx, sy in corners}
    parts = [bar(end[corner], top[corner], 2, foot, thick, is_round=is_round) for corner in corners]

    def at(corner: tuple[int, int], z: float) -> np.ndarray:
        return end[corner] + (top[corner] - end[corner]) * (z / frame.seat_middle)

    def rails(axis: int, z: float, size: float | tuple[float, float]) -> list[Part]:
        """Connect the legs in pairs along an axis: left and right, or front and rear."""
        pairs = [[(-1, -1), (1, -1)], [(-1, 1), (1, 1)]] if axis == 0 else [corners[:2], corners[2:]]
        return [bar(at(a, z), at(b, z), axis, size) for a, b in pairs]

    under_seat = frame.seat_top - frame.seat_thick
    kind = rng.choice(["none", "apron", "box", "h", "sides"], p=[0.32, 0.2, 0.16, 0.18, 0.14])
    rod = rng.uniform(1.8, 2.4)
    low = under_seat * rng.uniform(0.22, 0.5)
    if kind == "apron":
        deep = rng.uniform(2.5, 5)
        z, size = under_seat - deep / 2 + 0.6, (rng.uniform(1.8, min(thick, 2.6)), deep)
        parts += rails(1, z, size) + rails(0, z, size)
    elif kind == "box":
        parts += rails(1, low, rod) + rails(0, low, rod)
    elif kind == "h":
        ends = ((at(a, low) + at(b, low)) / 2 for a, b in (corners[:2], corners[2:]))
        parts += [*rails(1, low, rod), bar(*ends, 0, rod)]
    elif kind == "sides":
        parts += rails(1, low, rod) + rails(0, min(low + rng.uniform(4, 7), under_seat - 4), rod)
    return parts


def pedestal(frame: Frame, rng: np.random.Generator) -> list[Part]:
    """Make a column on a star of four to six feet, with or without casters."""
    feet = int(rng.integers(4, 7))
    radius = rng.uniform(0.42, 0.56) * min(frame.width, frame.depth + 6)
    column = rng.uniform(3, 6)
    caster = rng.uniform(2.4, 3.8) if rng.random() < 0.5 else 0.0
    foot_width, foot_high = rng.uniform(2.2, 3.6), rng.uniform(2, 3)
    tip_z = caster * 0.8 + foot_high / 2
    hub_z = tip_z + rng.uniform(0, 6)
    low, top = [0, 0, hub_z - foot_high / 2], [0, 0, frame.seat_middle]
    parts = [bar(low, top, 2, column, column * rng.uniform(0.6, 1), is_round=True)]
    sections = (foot_width, foot_high * 1.3), (foot_width * 0.8, foot_high)
    foot = [bar([0, 0, hub_z], [radius, 0, tip_z], 0, *sections)]
    if caster:
        foot.append(bar([radius - 1, 0, 0], [radius - 1, 0, caster], 2, caster, is_round=True))
    for angle in 2 * np.pi * np.arange(feet) / feet + np.pi / 2:
        cos, sin = np.cos(angle), np.sin(angle)
        turn = np.array([[cos, sin, 0], [-sin, cos, 0], [0, 0, 1]])
        parts += [(vertices @ turn, faces) for vertices, faces in foot]
    plate = rng.uniform(0.25, 0.5) * min(frame.width, frame.depth)
    under_seat = frame.seat_top - frame.seat_thick
    parts.append(bar([0, 0, under_seat - 2], top, 2, plate * 0.8, plate))
    return parts


def sled(frame: Frame, rng: np.random.Generator) -> list[Part]:
    """Make two runners on the floor, with uprights at both ends or only in front (a cantilever)."""
    tube = rng.uniform(2, 3.2)
    is_round = rng.random() < 0.5
    x = frame.width / 2 * (0.68 if frame.style.seat == "round" else 0.9) - tube / 2
    y = min(frame.reach(x + tube / 2), frame.depth / 2 * 0.92) - tube / 2
    floor, under = tube / 2, frame.seat_top - frame.seat_thick
    tilt_front, tilt_rear = rng.uniform(-1, 5), rng.uniform(-1, 4)
    has_rear = rng.random() < 0.6
    parts = []
    for side in (-x, x):
        front, rear = [side, -y - tilt_front, floor], [side, y + tilt_rear, floor]
        overlap = np.array([0, tube / 2, 0])
        parts.append(bar(front - overlap, rear + overlap, 1, tube, is_round=is_round))
        down = np.array([0, 0, floor])
        parts.append(bar(front - down, [side, -y, frame.seat_middle], 2, tube, is_round=is_round))
        if has_rear:
            parts.append(bar(rear - down, [side, y, frame.seat_middle], 2, tube, is_round=is_round))
        else:  # the seat rests on two rails that the front uprights carry
            parts.append(bar([side, -y - tube / 2, under], [side, y, under], 1, tube, is_round=is_round))
    crossings = [y + tilt_rear] if not has_rear or rng.random() < 0.4 else []
    if has_rear and rng.random() < 0.3:
        crossings.append(-y - tilt_front)
    parts += [bar([-x, at, floor], [x, at, floor], 0, tube, is_round=is_round) for at in crossings]
    return parts


def upright(frame: Frame, x_share: float, size: float, z_top: float, wide: float | None = None) -> Part:
    """Make an upright of the back, at `x_share` of the way from the middle to a post, `wide` across."""
    z = np.linspace(frame.seat_middle, z_top, 8)
    x = x_share * frame.half(z)
    y = frame.back_y(x, z)
    section = rectangle(wide or size, size)
    return loft([[[xi + du, yi + dv, zi] for du, dv in section] for xi, yi, zi in zip(x, y, z, strict=True)])


def posts(frame: Frame, size: float, z_top: float) -> list[Part]:
    """Make the two side posts of the back."""
    return [upright(frame, side, size, z_top) for side in (-1, 1)]


def rail(frame: Frame, z: float, tall: float, size: float, overhang: float = 0.0, crest: float = 0.0) -> Part:
    """Make a rail across the back with its lower edge at `z` and its middle `crest` above its ends."""
    rings = []
    for share in np.linspace(-1, 1, 11):
        x = share * (frame.half(z + tall / 2) + overhang)
        upper = z + tall + crest * (1 - share**2)
        lower = z + 0.5 * crest * (1 - share**2)
        y_lower, y_upper = frame.back_y(x, lower), frame.back_y(x, upper)
        d = size / 2
        low = [x, y_lower - d, lower], [x, y_lower + d, lower]
        high = [x, y_upper + d, upper], [x, y_upper - d, upper]
        rings.append([*low, *high])
    return loft(rings)


def sheet(frame: Frame, z: np.ndarray, half: np.ndarray, size: float) -> Part:
    """Make a panel in the back, `size` thick and at each height `z` 2 `half` wide."""
    share = np.linspace(-1, 1, 11)
    rings = []
    for zi, hi in zip(z, half, strict=True):
        x = share * hi
        y = frame.back_y(x, zi)
        front, rear = (lift(np.column_stack([x, y + d]), zi) for d in (-size / 2, size / 2))
        rings.append([*front, *rear[::-1]])
    return loft(rings)


def solid_back(frame: Frame, rng: np.random.Generator) -> list[Part]:
    """Make a closed panel, from the seat up or on posts; its upper corners may be rounded."""
    thick = frame.post if rng.random() < 0.6 else rng.uniform(3.4, 6.5)
    is_raised = rng.random() < 0.35
    start = frame.seat_middle
    if is_raised:
        start = frame.seat_top + (frame.height - frame.seat_top) * rng.uniform(0.2, 0.45)
    rounded = frame.height - 6 * (1 - np.sin(np.linspace(0, np.pi / 2, 6)))
    z = np.concatenate([np.linspace(start, frame.height - 6, 6)[:-1], rounded])
    rounding = rng.uniform(0, 0.45)
    near_top = np.clip((z - (frame.height - 6)) / 6, 0, 1)
    half = (frame.half(z) + thick / 2) * (1 - rounding * (1 - np.sqrt(1 - near_top**2)))
    panel = sheet(frame, z, half, thick)
    if not is_raised:
        return [panel]
    if rng.random() < 0.7:
        return [panel, *posts(frame, frame.post, start + 4)]
    return [panel, upright(frame, 0, frame.post, start + 4, wide=rng.uniform(4, 9))]


def slatted_back(frame: Frame, rng: np.random.Generator) -> list[Part]:
    """Make vertical bars between the seat, or a lower rail, and a top rail."""
    crest = rng.uniform(0, 3) if rng.random() < 0.5 else 0.0
    tall = rng.uniform(2.4, 6)
    top = frame.height - crest
    wide = rng.uniform(2, 4.5)
    free = 2 * frame.half(np.array([frame.seat_top, top])).min() - frame.post
    most = int((free - GAP) // (wide + GAP))
    if most < 2:  # a narrow back: the thinnest bars
        wide = 2.0
        most = int((free - GAP) // (wide + GAP))
    count = int(rng.integers(2, min(most, 6) + 1)) if most > 2 else max(most, 1)
    parts = [*posts(frame, frame.post, top), rail(frame, top - tall, tall, frame.post, frame.post / 2, crest)]
    shares = np.linspace(-1, 1, count + 2)[1:-1]
    parts += [upright(frame, share, 2.1, top - tall / 2, wide) for share in shares]
    if rng.random() < 0.4:
        parts.append(rail(frame, frame.seat_top + rng.uniform(3.5, 6), rng.uniform(2, 3), 2.1))
    return parts


def ladder_back(frame: Frame, rng: np.random.Generator) -> list[Part]:
    """Make two posts with two to five rails across."""
    crest = rng.uniform(0, 2) if rng.random() < 0.4 else 0.0
    top = frame.height - crest
    tall = rng.uniform(2.2, 5)
    first = frame.seat_top + rng.uniform(3.8, 8)
    most = int((top - first + GAP) // (tall + GAP))
    count = int(rng.integers(2, max(min(most, 5), 2) + 1))
    tall = min(tall, (top - first + GAP) / count - GAP)
    spare = rng.uniform(0, 2) if rng.random() < 0.4 else 0.0  # of the posts above the last rail
    return [
        *posts(frame, frame.post, top),
        *(rail(frame, z, tall, 2.1, 0, crest) for z in np.linspace(first, top - tall - spare, count)),
    ]


def open_back(frame: Frame, rng: np.random.Generator) -> list[Part]:
    """Make an empty frame: posts and a top rail, or one bent tube."""
    if rng.random() < 0.5:
        tall, crest = rng.uniform(2.5, 9), rng.uniform(0, 3) if rng.random() < 0.5 else 0.0
        top = frame.height - crest
        top_rail = rail(frame, top - tall, tall, frame.post, frame.post / 2, crest)
        parts = [*posts(frame, frame.post, top), top_rail]
        if rng.random() < 0.4:
            parts.append(rail(frame, frame.seat_top + rng.uniform(4, 7), rng.uniform(2, 3.5), 2.1))
        return parts
    # One tube: up, around the corners and down. The radius of a corner is at most half the width.
    tube = max(frame.post, 2.3)
    half = frame.back_half
    corner = rng.uniform(0.3, 1) * min(half, (frame.height - frame.seat_top) * 0.6)
    turn_of = np.linspace(0, np.pi / 2, 9)
    top = frame.height - tube / 2
    quarter = np.stack([half - corner * (1 - np.cos(turn_of)), top - corner * (1 - np.sin(turn_of))], axis=1)
    tangent = np.stack([-np.sin(turn_of), np.cos(turn_of)], axis=1)
    foot_z = np.linspace(frame.seat_middle, top - corner, 5)[:-1]
    right = np.concatenate([np.stack([np.full(4, half), foot_z], axis=1), quarter])
    right_tangent = np.concatenate([np.tile([0.0, 1.0], (4, 1)), tangent])
    left, left_tangent = right[::-1] * [-1, 1], right_tangent[::-1] * [1, -1]
    if corner > half - 1e-6:  # the two quarters meet in one point
        left, left_tangent = left[1:], left_tangent[1:]
    path, along = np.concatenate([right, left]), np.concatenate([right_tangent, left_tangent])
    rings = []
    for (x, z), (tx, tz) in zip(path, along, strict=True):
        y = frame.back_y(min(abs(x), half), z)
        rings.append([[x + tz * u, y + v, z - tx * u] for u, v in circle(tube, 10)])
    return [loft(rings)]


def rounded_back(frame: Frame, rng: np.random.Generator) -> list[Part]:
    """Make a panel that curves around the seat, or one with a round outline on posts."""
    can_wrap = frame.style.seat != "square"
    if frame.style.arms == "wrap" or (can_wrap and rng.random() < 0.6):
        return [wrap(frame, rng)]
    thick = max(frame.post, 2.2)
    back_height = frame.height - frame.seat_top
    low = frame.seat_top + back_height * rng.uniform(0.08, 0.4)
    angle = np.linspace(-np.pi / 2 + 0.3, np.pi / 2 - 0.3, 13)
    z = low + (frame.height - low) * (np.sin(angle) / np.sin(angle[-1]) + 1) / 2
    half = (frame.back_half * rng.uniform(0.85, 1.05) + 1) * np.cos(angle)
    middle = low + (frame.height - low) * 0.3
    parts = [sheet(frame, z, half, thick)]
    if rng.random() < 0.3:
        return [*parts, upright(frame, 0, thick, middle, wide=rng.uniform(4, 8))]
    return [*parts, *(upright(frame, side * 0.5, thick, middle) for side in (-1, 1))]


def wrap(frame: Frame, rng: np.random.Generator) -> Part:
    """Make a back that follows the outline of the seat; arms "wrap" continue it to the front, descending."""
    thick = rng.uniform(2.6, 4.5)
    has_arms = frame.style.arms == "wrap"
    first = np.deg2rad(rng.uniform(-45, 0) if has_arms else rng.uniform(25, 55))
    angle = np.linspace(first, np.pi - first, 33)
    outer = outline(frame, angle)
    inner = outer * (1 - thick / (min(frame.width, frame.depth) / 2))
    # 0 at the ends, 1 at the back
    share = np.clip((np.sin(angle) - np.sin(first)) / (1 - np.sin(first)), 0, 1)
    if has_arms:
        end, profile = frame.seat_top + rng.uniform(6, 12), share ** rng.uniform(1.2, 4)
    else:
        end = frame.height - (frame.height - frame.seat_top) * rng.uniform(0, 0.4)
        profile = np.sqrt(1 - (1 - share) ** 2)
    top = end + (frame.height - end) * profile
    rings = []
    for out, inn, z in zip(outer, inner, top, strict=True):
        rise = float(frame.rise(z))
        shift = np.array([0, frame.lean * rise * max(0.0, out[1] / (frame.depth / 2))])
        grow = 1 + max(frame.flare, 0) * rise
        low = [*inn, frame.seat_middle], [*out, frame.seat_middle]
        high = [*(out * grow + shift), z], [*(inn * grow + shift), z]
        rings.append([*low, *high])
    return loft(rings)


def arms(frame: Frame, rng: np.random.Generator) -> list[Part]:
    """Make both arms, mirror images of each other; none if the style has none or the back wraps around."""
    kind = frame.style.arms
    if kind in ("none", "wrap"):
        return []
    back_height = frame.height - frame.seat_top
    thick, wide, post = rng.uniform(2, 3), rng.uniform(2.2, 4), rng.uniform(2, 3.2)
    z = frame.seat_top + min(back_height * rng.uniform(0.3, 0.5), back_height - 7)
    if kind == "panel":
        wide = rng.uniform(2.2, 7)
    x = frame.width / 2 * (0.85 if frame.style.seat == "round" else 0.95) - max(wide, post) / 2
    reach = frame.reach(x + post / 2) - post / 2
    front = -reach * rng.uniform(0.55, 0.95)
    rear_x = float(frame.half(z))
    rear_y = float(frame.back_y(rear_x, z))
    slope = rng.uniform(0, 2.5) if kind == "post" else 0.0
    overhang = rng.uniform(0, 3)
    splay = rng.uniform(0, 2)
    middle = (front + reach * 0.6) / 2
    foot = frame.seat_middle
    parts = []
    for side in (-1, 1):
        if kind == "panel":
            rear = float(frame.back_y(x, z)) + 0.3 * frame.post
            level = (foot + z) / 2
            ends = [side * x, front, level], [side * x, rear, level]
            parts.append(bar(*ends, 1, (wide, z - foot)))
            continue
        near, far = side * x, side * (x + splay)
        if kind in ("post", "loop"):
            parts.append(bar([near, front, foot], [far, front, z - slope], 2, post))
        if kind == "loop":
            parts.append(bar([near, reach * 0.6, foot], [far, reach * 0.6, z], 2, post))
            ends = [far, front - post / 2, z], [far, reach * 0.6 + post / 2, z]
        elif kind == "pad":
            parts.append(bar([near, middle, foot], [far, middle, z], 2, (post, post * 1.5)))
            ends = [far, middle - 8, z], [far, middle + 8, z]
        else:
            ends = [far, front - post / 2 - overhang, z - slope], [side * rear_x, rear_y, z]
        parts.append(bar(*ends, 1, (wide, thick)))
    return parts


def loft(rings: list) -> Part:
    """Connect a stack of rings, (m, n, 3) with n even, and close both ends. Faces are wound outwards.

    An end is closed by strips between points i and n - 1 - i, which is right for convex rings and for bands.
    """
    points = np.asarray(rings, dtype=np.float64)
    m, n, _ = points.shape
    index = np.arange(m * n).reshape(m, n)
    here, right = index[:-1], np.roll(index, -1, axis=1)[:-1]
    above, above_right = index[1:], np.roll(index, -1, axis=1)[1:]
    i = np.arange(n // 2 - 1)
    strip = np.stack([i, i + 1, n - 2 - i, n - 1 - i], axis=1)
    sides = np.stack([here, right, above_right, above], axis=-1).reshape(-1, 4)
    quads = np.concatenate([sides, index[0][strip[:, ::-1]], index[-1][strip]])
    faces = np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]])
    vertices = points.reshape(-1, 3)
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    if np.einsum("ij,ij->", a, np.cross(b, c)) < 0:  # the volume inside
        faces = faces[:, ::-1]
    return vertices, faces


def bar(start, end, axis: int, size, end_size=None, is_round: bool = False) -> Part:
    """Make a straight bar roughly along `axis`, with ends perpendicular to the axis.

    `start` and `end` are the centers of its ends, `size` and `end_size` its cross-section there: one number,
    or one for each of the other two axes. A section is a rectangle or an ellipse with twelve sides.
    """
    across = [other for other in range(3) if other != axis]
    rings = []
    for middle, extent in ((start, size), (end, size if end_size is None else end_size)):
        u, v = (extent, extent) if np.isscalar(extent) else extent
        section = circle(1.0, 12) * [u, v] if is_round else rectangle(u, v)
        ring = np.tile(np.asarray(middle, dtype=np.float64), (len(section), 1))
        ring[:, across] += section
        rings.append(ring)
    return loft(rings)


def rectangle(u: float, v: float) -> np.ndarray:
    """Return the (4, 2) corners of a rectangle around the origin."""
    return np.array([[-u, -v], [u, -v], [u, v], [-u, v]]) / 2


def circle(across: float, sides: int) -> np.ndarray:
    """Return the (sides, 2) corners of a regular polygon with the given distance between opposite sides."""
    angle = 2 * np.pi * (np.arange(sides) + 0.5) / sides
    return across / 2 / np.cos(np.pi / sides) * np.stack([np.cos(angle), np.sin(angle)], axis=1)


def lift(outline_xy: np.ndarray, z: float) -> np.ndarray:
    """Put an (n, 2) outline at height `z`: (n, 3)."""
    return np.column_stack([outline_xy, np.full(len(outline_xy), z)])


def fit(parts: list[Part]) -> list[Part]:
    """Scale the parts of a chair to a longest side of `GRID`, center it, and put it on z = 0."""
    corners = np.concatenate([vertices for vertices, _ in parts])
    low, high = corners.min(axis=0), corners.max(axis=0)
    scale = GRID / (high - low).max()
    origin = [(low[0] + high[0]) / 2, (low[1] + high[1]) / 2, low[2]]
    return [((vertices - origin) * scale, faces) for vertices, faces in parts]


def join(parts: list[Part]) -> Part:
    """Join parts into one mesh."""
    first = np.cumsum([0] + [len(vertices) for vertices, _ in parts[:-1]])
    vertices = np.concatenate([vertices for vertices, _ in parts])
    faces = np.concatenate([faces + start for (_, faces), start in zip(parts, first, strict=True)])
    return vertices, faces


MAKE_BASE = {"legs": legs, "pedestal": pedestal, "sled": sled}
KINDS = {"chair": make_chair, "table": make_table}

"""Scores of sets of generated shapes, and the distances between voxel shapes that they are based on.

`score_sets` computes all scores and `verdict` summarizes them in a sentence. Every pairwise distance is a sum
over voxels, computed for all pairs at once as matrix products of blocks small enough to be exact in float32,
so that equal distances compare equal.

References
----------
P. Achlioptas, O. Diamanti, I. Mitliagkas, L. Guibas. Learning representations and generative models for 3D
point clouds. ICML 2018: coverage, minimum matching distance, Jensen-Shannon divergence.
G. Yang, X. Huang, Z. Hao, M.-Y. Liu, S. Belongie, B. Hariharan. PointFlow: 3D point cloud generation with
continuous normalizing flows. ICCV 2019: 1-nearest-neighbor accuracy of shapes.
D. Lopez-Paz, M. Oquab. Revisiting classifier two-sample tests. ICLR 2017: that accuracy itself.
P. Felzenszwalb, D. Huttenlocher. Distance transforms of sampled functions. Theory of Computing, 2012.
"""

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property

import numpy as np
from scipy.spatial import ConvexHull
from scipy.spatial.distance import jensenshannon

from rasgan.voxels import is_occupied, label_pieces, largest_piece, surface_mask

NEAR_COPY = 0.05
"""Largest IoU distance of a near copy: the two shapes have 95 % of all their voxels in common."""

NEARLY_ALL = 0.99
"""Share of its voxels in the largest component of a shape that is nearly in one piece."""

FOOT = 3 / 64
"""Share of the grid's height, from the lowest voxel up, in which a shape touches the ground."""

GENERATED, TRAINING, NOISE, REFERENCE = "generated", "training set", "noise", "reference"
SLICE = 256  # training shapes that `quick_scores` compares at a time: 67 MB at 64³
TILE = 64  # shapes whose distance transforms are in memory at a time
BLOCK = 2**24  # most float32 numbers of a block, 64 MB


class ShapeSet(Sequence):
    """Shapes packed to one bit per voxel, with cached quantities that several scores use.

    Constructed from an iterable of at least one (n, n, n) bool array, which is read once.
    """

    def __init__(self, shapes: Iterable[np.ndarray]) -> None:
        shapes = iter(shapes)
        first = next(shapes)
        self.grid_shape = first.shape
        row = np.dtype((np.uint8, (-(-first.size // 8),)))  # a tuple: 1 alone is a scalar in NumPy 1
        self.bits = np.fromiter(map(np.packbits, itertools.chain([first], shapes)), row)  # (N, n**3 / 8)

    def __len__(self) -> int:
        return len(self.bits)

    def __getitem__(self, index: int) -> np.ndarray:
        flat = np.unpackbits(self.bits[index], count=np.prod(self.grid_shape))
        return flat.view(bool).reshape(self.grid_shape)

    @cached_property
    def counts(self) -> np.ndarray:
        """Number of occupied voxels of each shape, (N,)."""
        return np.array([np.count_nonzero(shape) for shape in self])

    @cached_property
    def occupancy(self) -> np.ndarray:
        """Number of shapes in which each voxel is occupied, (n, n, n) float64."""
        total = np.zeros(self.grid_shape)
        for shape in self:
            total += shape
        return total

    @cached_property
    def surfaces(self) -> "ShapeSet":
        """The surface voxels of each shape."""
        return ShapeSet(map(surface_mask, self))

    @cached_property
    def iou(self) -> np.ndarray:
        """IoU distances within the set, (N, N)."""
        return iou_distances(self, self)

    @cached_property
    def diversity(self) -> float:
        """Mean IoU distance between different shapes; 0 for a single shape."""
        count = len(self)
        return float((self.iou.sum() - np.trace(self.iou)) / max(1, count * (count - 1)))

    @cached_property
    def middles(self) -> np.ndarray:
        """Center of the bounding box of each largest component, in voxels: (M, 3) for M nonempty shapes."""
        boxes = [_box(largest_piece(shape)) for shape in self if shape.any()]
        return np.array(boxes).reshape(-1, 3, 2).mean(axis=2)


def _box(shape: np.ndarray) -> list[tuple[int, int]]:
    layers = [np.flatnonzero(shape.any(axis=others)) for others in ((1, 2), (0, 2), (0, 1))]
    return [(found[0], found[-1] + 1) for found in layers]


def iou_distances(a: ShapeSet, b: ShapeSet) -> np.ndarray:
    """Compute 1 - intersection / union of all pairs of N and M shapes: (N, M).

    Equal shapes, two empty ones included, are at 0, and shapes without a common voxel at 1.
    """
    shared = np.zeros((len(a), len(b)))
    used = np.bitwise_or.reduce(a.bits) & np.bitwise_or.reduce(b.bits)
    for block in _blocks(used, len(a) + len(b), largest=1):
        block_a = _floats(a, block)
        shared += block_a @ (block_a if a is b else _floats(b, block)).T  # numpy computes half of x @ x.T
    union = a.counts[:, None] + b.counts[None, :] - shared
    return 1 - np.divide(shared, union, out=np.ones_like(shared), where=union > 0)


def distance_transforms(shapes: Sequence[np.ndarray]) -> np.ndarray:
    """Compute the squared distance of every voxel to the nearest surface voxel of its shape: (N, n, n, n).

    Distances are Euclidean, between centers of voxels of edge 1, and exact unsigned integers. The surface is
    that of `rasgan.voxels.surface_mask`. An empty grid has the value 3 * n**2 everywhere, the square of the
    diagonal of the grid, which no distance reaches.
    """
    edge = len(shapes[0])
    far = 3 * edge**2
    dtype = np.min_scalar_type(far + edge**2)
    return np.stack([_transform(np.where(surface_mask(shape), 0, far).astype(dtype)) for shape in shapes])


def _transform(squares: np.ndarray) -> np.ndarray:
    """Replace f(p) by the minimum of f(q) + |p - q|**2 over all q, one axis after another.

    Exact, and twice as fast as `scipy.ndimage.distance_transform_edt` on such small grids. Felzenszwalb and
    Huttenlocher 2012, section 2, without their lower envelope.
    """
    for axis in range(3):
        before = np.ascontiguousarray(np.moveaxis(squares, axis, 0))
        after = before.copy()
        for step in range(1, len(before)):
            square = before.dtype.type(step**2)
            if square >= after.max():
                break
            np.minimum(after[:-step], before[step:] + square, out=after[:-step])
            np.minimum(after[step:], before[:-step] + square, out=after[step:])
        squares = np.moveaxis(after, 0, axis)
    return squares


Pair = tuple[ShapeSet, ShapeSet]


def chamfer_distances(
    pairs: Iterable[Pair], progress: Callable[[list], Iterable] = iter
) -> dict[Pair, np.ndarray]:
    """Compute the Chamfer distances between the surface voxels of all shapes of each pair of sets.

    The Chamfer distance is the mean, over the surface voxels of one shape, of the squared distance to the
    nearest surface voxel of the other, plus the same with the roles exchanged. The grid's edge has length 1,
    so a surface that is one voxel off everywhere is at 2 / n**2. An empty grid is at 6 from every other,
    twice the squared diagonal, and at 0 from another empty one.

    Parameters
    ----------
    pairs : iterable of pairs
        Two different sets, or a set and itself. The distance transform of each shape is computed once, and
        `TILE` of them are in memory at a time.
    progress : callable
        Wraps the list of tiles, to show progress.

    Returns
    -------
    distances : dict of pair to (N, M) float64
        Sums of squared distances are exact.
    """
    pairs = list(pairs)
    directed = {pair: np.empty((len(pair[0]), len(pair[1]))) for a, b in pairs for pair in ((a, b), (b, a))}
    sets = dict.fromkeys(b for _, b in directed)
    tiles = [(shapes, first) for shapes in sets for first in range(0, len(shapes), TILE)]
    for shapes, first in progress(tiles):
        rows = slice(first, min(first + TILE, len(shapes)))
        transforms = distance_transforms([shapes[index] for index in range(rows.start, rows.stop)])
        for (a, b), found in directed.items():
            if b is shapes:
                found[:, rows] = _mean_squared_distances(a.surfaces, transforms)
    return {(a, b): (directed[a, b] + directed[b, a].T) / a.grid_shape[0] ** 2 for a, b in pairs}


def _mean_squared_distances(surfaces: ShapeSet, transforms: np.ndarray) -> np.ndarray:
    """Average M distance transforms over the surfaces of N shapes: (N, M) float64."""
    far = 3 * transforms.shape[-1] ** 2
    flat = transforms.reshape(len(transforms), -1)
    flat = np.pad(flat, ((0, 0), (0, -flat.shape[1] % 8))).reshape(len(flat), -1, 8)
    total = np.zeros((len(surfaces), len(transforms)))
    used = np.bitwise_or.reduce(surfaces.bits)
    for block in _blocks(used, len(surfaces) + len(transforms), far):
        total += _floats(surfaces, block) @ flat[:, block].reshape(len(flat), -1).astype(np.float32).T
    means = total / np.maximum(surfaces.counts, 1)[:, None]
    is_empty = transforms[:, 0, 0, 0] == far
    means[surfaces.counts == 0] = np.where(is_empty, 0, far)
    return means


def _blocks(used: np.ndarray, rows: int, largest: int) -> Iterator[np.ndarray]:
    """Divide the columns of `used` bytes into blocks whose sums of products up to `largest` are exact.

    Below 2**24, float32 adds integers exactly. `rows` rows of a block have at most `BLOCK` numbers.
    """
    columns = np.flatnonzero(used)
    step = max(1, min(512, 2**24 // (8 * largest), BLOCK // (8 * rows)))
    for start in range(0, len(columns), step):
        yield columns[start : start + step]


def _floats(shapes: ShapeSet, block: np.ndarray) -> np.ndarray:
    """Unpack a block of bytes of all shapes to zeros and ones: (N, 8 * bytes) float32."""
    return np.unpackbits(shapes.bits.take(block, axis=1), axis=1).astype(np.float32)


def coverage(distances: np.ndarray, within_reference: np.ndarray) -> float:
    """Return the share of reference shapes that are nearest to some generated shape (COV); 1 is best.

    Distances are (G, R) from generated to reference shapes, and (R, R) between reference shapes. Of equally
    near references the first counts, and its exact copies are covered with it.
    """
    nearest = np.unique(distances.argmin(axis=1))
    return float((within_reference[nearest] == 0).any(axis=0).mean())


def minimum_matching_distance(distances: np.ndarray) -> float:
    """Return the mean distance from a reference to the nearest generated shape, of (G, R): MMD, best 0."""
    return float(distances.min(axis=0).mean())


def nearest_neighbor_accuracy(
    within: np.ndarray, distances: np.ndarray, within_reference: np.ndarray
) -> tuple[float, float]:
    """Return how often the nearest neighbor of a shape is in the same set, for two sets of equal size.

    The mean of both shares is the 1-nearest-neighbor accuracy (1-NNA). At 0.5, the best, the sets cannot be
    distinguished; at 1 they are completely different; at 0 each shape has a copy in the other set. A shape
    that is as near to one set as to the other counts half.

    Parameters
    ----------
    within, distances, within_reference : (N, N) arrays
        Between generated shapes, from generated to reference shapes, and between reference shapes.

    Returns
    -------
    of_generated, of_reference : float
        The mean is meaningful only if these two are similar. By IoU distance, noise may have 0 and 1, and so
        the best possible mean, because it overlaps more with the fullest solid shapes than with other noise.

    Raises
    ------
    ValueError
        If the sets have different sizes, because the best value would not be 0.5.
    """
    if within.shape != within_reference.shape:
        raise ValueError(f"sets of equal size are needed, not {len(within)} and {len(within_reference)}")
    return _share_nearer(within, distances), _share_nearer(within_reference, distances.T)


def _share_nearer(within: np.ndarray, across: np.ndarray) -> float:
    """Return the share of shapes that are nearer to another shape of their own set than to the other set."""
    own = leave_out_self(within, np.arange(len(within))).min(axis=1)
    other = across.min(axis=1)
    return float(np.mean((own < other) + 0.5 * (own == other)))


def leave_out_self(distances: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """Copy distances from the `chosen` shapes of a set to the set, with those to themselves infinite."""
    others = distances.copy()
    others[np.arange(len(chosen)), chosen] = np.inf
    return others


def occupancy_divergence(a: ShapeSet, b: ShapeSet) -> float:
    """Compute the Jensen-Shannon divergence (JSD) of the occupancy of two sets, in bits.

    The occupied voxels of all shapes of a set are a distribution over the grid. The divergence is 0 for equal
    distributions and 1 for distributions without a common voxel. Two sets of empty grids are at 0, and one
    such set and any other at 1. Achlioptas et al. count points per voxel instead.
    """
    p, q = a.occupancy.ravel(), b.occupancy.ravel()
    if not p.any() or not q.any():
        return float(p.any() != q.any())
    return float(jensenshannon(p, q, base=2) ** 2)


def reference_scores(
    shapes: ShapeSet, reference: ShapeSet, chamfer: dict[Pair, np.ndarray]
) -> dict[str, float]:
    """Compare a set with as many real shapes: COV, MMD and 1-NNA by both distances, and JSD.

    `chamfer` contains the distances within both sets and between them. Yang et al. recommend 1-NNA: unlike
    the others, it is sensitive both to poor quality and to lack of variety.
    """
    pairs = (shapes, shapes), (shapes, reference), (reference, reference)
    distances = {
        "iou": (shapes.iou, iou_distances(shapes, reference), reference.iou),
        "chamfer": tuple(chamfer[pair] for pair in pairs),
    }
    found: dict[str, float] = {}
    for name, (within, between, within_reference) in distances.items():
        found[f"coverage_{name}"] = coverage(between, within_reference)
        found[f"minimum_matching_distance_{name}"] = minimum_matching_distance(between)
        halves = nearest_neighbor_accuracy(within, between, within_reference)
        accuracy = f"nearest_neighbor_accuracy_{name}"
        found[accuracy] = sum(halves) / 2
        found[f"{accuracy}_of_generated"], found[f"{accuracy}_of_reference"] = halves
    found["occupancy_divergence"] = occupancy_divergence(shapes, reference)
    return found


def neighbor_scores(distances: np.ndarray) -> dict[str, float]:
    """Score variety and copying, from (G, T) IoU distances between generated and training shapes.

    Returns the values of `distinct_nearest`; ``nearest_mean`` and ``nearest_min``, the mean and minimum of
    the distances to the nearest training shape; and ``copies`` and ``near_copies``, the shares of generated
    shapes with a distance of 0 and of at most `NEAR_COPY`.
    """
    nearest = distances.min(axis=1)
    return {
        **distinct_nearest(distances),
        "nearest_mean": float(nearest.mean()),
        "nearest_min": float(nearest.min()),
        "copies": float((nearest == 0).mean()),
        "near_copies": float((nearest <= NEAR_COPY).mean()),
    }


def distinct_nearest(distances: np.ndarray) -> dict[str, float]:
    """Count the training shapes that are nearest to some generated shape, from (G, T) distances.

    A small count means collapse. Of equally near shapes the first counts. ``distinct_nearest_share`` is the
    count divided by its maximum, the smaller of G and T.
    """
    count = len(np.unique(distances.argmin(axis=1)))
    return {"distinct_nearest": count, "distinct_nearest_share": count / min(distances.shape)}


def shape_statistics(shapes: Sequence[np.ndarray]) -> dict[str, float]:
    """Measure connectivity, stability and mirror symmetry of N shapes, (n, n, n) bool.

    Pieces are the connected components of `rasgan.voxels.label_pieces`.

    Returns
    -------
    found : dict
        Shares of all shapes: ``one_piece``; ``nearly_one_piece``, with at least `NEARLY_ALL` of their voxels
        in the largest piece; ``stands``; ``empty``. For nonempty shapes (0 if there are none): the median
        number of pieces, ``pieces_median``, and the means of ``largest_piece``, the share of voxels in it, of
        ``grounded``, the share in pieces that reach the lowest layer of the largest, and of `mirror_iou`.
        ``faces_per_voxel`` is `exposed_faces` per occupied voxel; ``voxels`` is the mean number of them.
    """
    full = [_form(shape) for shape in shapes if shape.any()]
    columns = (np.array(column) for column in zip(*full or [(0,) * 7], strict=True))
    pieces, largest, grounded, standing, mirror, faces, voxels = columns
    return {
        "one_piece": float((pieces == 1).sum() / len(shapes)),
        "nearly_one_piece": float((largest >= NEARLY_ALL).sum() / len(shapes)),
        "stands": float(standing.sum() / len(shapes)),
        "pieces_median": float(np.median(pieces)),
        "largest_piece": float(largest.mean()),
        "grounded": float(grounded.mean()),
        "mirror_iou": float(mirror.mean()),
        "faces_per_voxel": float(faces.sum() / max(1, voxels.sum())),
        "empty": (len(shapes) - len(full)) / len(shapes),
        "voxels": float(voxels.sum() / len(shapes)),
    }


def _form(shape: np.ndarray) -> tuple[float, ...]:
    """Measure a nonempty shape."""
    piece, sizes = label_pieces(shape)
    largest = piece == sizes.argmax()
    grounded = np.unique(piece[:, largest.any(axis=(0, 2)).argmax()])
    voxels = sizes.sum()
    return (
        len(sizes) - 1,
        sizes.max() / voxels,
        sizes[grounded].sum() / voxels,
        _is_balanced(largest),
        mirror_iou(shape),
        exposed_faces(shape),
        voxels,
    )


def stands(shape: np.ndarray) -> bool:
    """Return whether an (n, n, n) bool shape stands on a plane without tipping over; an empty one does not.

    A shape stands if the center of mass of its largest piece is above the convex hull of the voxels in the
    lowest layers of that piece: three at 64³, and the share `FOOT` in general. Axis 1 is up.

    At least 99 % of 800 chairs of ModelNet10 at 32³, and of the sample chairs at 64³, stand.
    """
    return bool(shape.any()) and _is_balanced(largest_piece(shape))


def _is_balanced(piece: np.ndarray) -> bool:
    lowest = piece.any(axis=(0, 2)).argmax()
    layers = max(1, round(FOOT * piece.shape[1]))
    foot = np.argwhere(piece[:, lowest : lowest + layers].any(axis=1))
    corners = (foot[:, None] + [(0, 0), (0, 1), (1, 0), (1, 1)]).reshape(-1, 2)  # each voxel is a square
    center = np.argwhere(piece)[:, [0, 2]].mean(axis=0) + 0.5
    sides = ConvexHull(corners).equations  # (k, 3): a x + b y + c <= 0 inside
    return bool((sides[:, :2] @ center + sides[:, 2] <= 1e-9).all())


def is_whole(shape: np.ndarray) -> bool:
    """Return whether an (n, n, n) bool shape is a single connected component that `stands`."""
    return len(label_pieces(shape)[1]) == 2 and stands(shape)


def mirror_iou(shape: np.ndarray, axis: int = 0) -> float:
    """Compute the intersection over union of an (n, n, n) bool shape and its mirror image along an axis.

    The mirror plane is in the middle of the grid. The result for an empty grid is 1.
    """
    image = np.flip(shape, axis)
    union = np.count_nonzero(shape | image)
    return np.count_nonzero(shape & image) / union if union else 1.0


def exposed_faces(shape: np.ndarray) -> int:
    """Count the faces between an occupied and an empty voxel; outside of the grid, voxels are empty."""
    around = np.pad(shape, 1)
    return sum(np.count_nonzero(np.diff(around, axis=axis)) for axis in range(3))


def quick_scores(
    grids: np.ndarray, training: Iterable[np.ndarray], own: np.ndarray | None = None
) -> dict[str, float]:
    """Compute the scores that are fast enough for use during training: no Chamfer distances, no reference.

    Parameters
    ----------
    grids : (N, n, n, n) float or bool array
        Generated scores; 64 are enough, and take well under a second at 64³.
    training : iterable of (n, n, n) bool arrays
        The training shapes; `SLICE` at a time are in memory.
    own : (N,) int array, optional
        Indices of the grids in `training` if they are training shapes, so that none is its own neighbor.
    """
    shapes, training = ShapeSet(is_occupied(grids)), iter(training)
    parts = []
    while part := list(itertools.islice(training, SLICE)):
        parts.append(iou_distances(shapes, ShapeSet(part)))
    distances = np.concatenate(parts, axis=1)
    return {
        "diversity": shapes.diversity,
        **distinct_nearest(distances if own is None else leave_out_self(distances, own)),
        **shape_statistics(shapes),
    }


def static_noise(reference: ShapeSet, rng: np.random.Generator) -> ShapeSet:
    """Return as many shapes with independent random voxels and the reference's mean occupancy."""
    share = reference.counts.sum() / (len(reference) * np.prod(reference.grid_shape))
    return ShapeSet(rng.random(reference.grid_shape, dtype=np.float32) < share for _ in range(len(reference)))


def score_sets(
    generated: Sequence[np.ndarray],
    reference: Sequence[np.ndarray],
    training: Sequence[np.ndarray] | None = None,
    chosen: np.ndarray | None = None,
    static: Sequence[np.ndarray] | None = None,
    progress: Callable[[list], Iterable] = iter,
) -> dict[str, dict[str, float]]:
    """Score the generated shapes and, for comparison, training shapes, noise and the reference.

    Parameters
    ----------
    generated, reference, static : (N, n, n, n) bool arrays, or ShapeSets
        `static` is noise from `static_noise`. Without it or `training`, there is no row for it.
    training : (T, n, n, n) bool array or ShapeSet, optional
        The complete training set. Without it, neighbors are searched in the reference.
    chosen : (N,) int array
        Indices of the training shapes that are scored.
    progress : callable
        See `chamfer_distances`, which takes nearly all of the time.

    Returns
    -------
    rows : dict of dict
        For each set by name: `reference_scores` (not for the reference itself), ``diversity``,
        `neighbor_scores` and `shape_statistics`; for real shapes also `shift`. No shape is its own neighbor.
    """
    sets = {GENERATED: generated}
    if training is not None:
        sets[TRAINING] = [training[index] for index in chosen]
    if static is not None:
        sets[NOISE] = static
    sets = {name: _packed(shapes) for name, shapes in {**sets, REFERENCE: reference}.items()}
    known = sets[REFERENCE]
    own = {TRAINING: chosen} if training is not None else {REFERENCE: np.arange(len(known))}
    training = known if training is None else _packed(training)
    within = [(shapes, shapes) for shapes in sets.values()]
    chamfer = chamfer_distances([*within, *((shapes, known) for shapes in sets.values())], progress)
    rows = {}
    for name, shapes in sets.items():
        distances = iou_distances(shapes, training)
        if name in own:
            distances = leave_out_self(distances, own[name])
        rows[name] = {
            **({} if name == REFERENCE else reference_scores(shapes, known, chamfer)),
            "diversity": shapes.diversity,
            **neighbor_scores(distances),
            **shape_statistics(shapes),
        }
        if name in (TRAINING, REFERENCE):
            rows[name]["shift"] = shift(sets[GENERATED], shapes).tolist()
    return rows


def _packed(shapes: Sequence[np.ndarray]) -> ShapeSet:
    return shapes if isinstance(shapes, ShapeSet) else ShapeSet(shapes)


def shift(shapes: ShapeSet, others: ShapeSet) -> np.ndarray:
    """Measure the offset between two sets in the grid: (3,) voxels from `shapes` to `others`, or zeros.

    The position of a shape is the center of the bounding box of its largest component. The offset along an
    axis is that of the medians, if it is more than 1/32 of the grid and each median is outside of the middle
    90 % of the other set; else it is 0.

    Sample chairs converted with and without ``center`` differ by 10.5 and 9 voxels along axes 0 and 2.
    Training and unseen shapes of one conversion, and halves of ModelNet10's chairs, differ by 0.
    """
    a, b = shapes.middles, others.middles
    if not len(a) or not len(b):
        return np.zeros(3)
    apart = np.median(b, axis=0) - np.median(a, axis=0)
    is_beyond = np.abs(apart) > shapes.grid_shape[0] / 32
    for ours, theirs in ((a, b), (b, a)):
        low, high = np.percentile(theirs, (5, 95), axis=0)
        middle = np.median(ours, axis=0)
        is_beyond &= (middle < low) | (middle > high)
    return np.where(is_beyond, apart, 0)


VERDICTS = {
    "nearly-empty": "Nearly empty: a generated shape has {voxels:,.0f} voxels on average, a real one "
    "{known[voxels]:,.0f}.",
    "too-full": "Too full: a generated shape has {voxels:,.0f} voxels on average, a real one "
    "{known[voxels]:,.0f}.",
    "collapsed": "Collapsed: all generated shapes are nearly the same (diversity {diversity:.2f}; real "
    "shapes {known[diversity]:.2f}).",
    "noise": "Noise: only {largest_piece:.0%} of the voxels of a generated shape are connected; for real "
    "shapes it is {known[largest_piece]:.0%}.",
    "shifted": "The generated shapes are in another place in the grid than the real ones, so these scores do "
    "not measure their quality.",
    "copies": "Copies: {near_copies:.0%} of the generated shapes are almost identical to a training shape.",
    "little-variety": "Little variety: only {distinct_nearest} different training shapes are nearest to a "
    "generated shape; for as many real shapes there are {known[distinct_nearest]}.",
    "loose-parts": "Many loose parts: {nearly_one_piece:.0%} of the generated shapes have nearly all voxels "
    "in one piece; of the real shapes {known[nearly_one_piece]:.0%}.",
    "told-apart": "Varied, but still different from real shapes (1-NNA "
    "{nearest_neighbor_accuracy_iou:.2f} by IoU, {nearest_neighbor_accuracy_chamfer:.2f} by CD; real shapes "
    "{known[nearest_neighbor_accuracy_iou]:.2f}, {known[nearest_neighbor_accuracy_chamfer]:.2f}).",
    "close": "Close to real shapes: 1-NNA {nearest_neighbor_accuracy_iou:.2f} by IoU, "
    "{nearest_neighbor_accuracy_chamfer:.2f} by CD; real shapes {known[nearest_neighbor_accuracy_iou]:.2f}, "
    "{known[nearest_neighbor_accuracy_chamfer]:.2f}.",
    "healthy": "Healthy: about as varied, as full and as connected as real shapes.",
}
"""Sentences for `verdict`. All keys but the last two are headings of docs/troubleshooting.md."""

ACCURACIES = ("nearest_neighbor_accuracy_iou", "nearest_neighbor_accuracy_chamfer")


def verdict(scores: dict[str, float], known: dict[str, float], is_shifted: bool = False) -> tuple[str, str]:
    """Return the worst problem of a set of shapes, or how good it is: a key of `VERDICTS` and its sentence.

    Parameters
    ----------
    scores, known : dict
        Rows of `score_sets` or `quick_scores` for the generated shapes and for the training set or other real
        shapes. Only ratios to `known` count, because good values depend on the data.
    is_shifted : bool
        Whether the sets are in different places in the grid (see `shift`), so that scores that compare sets
        are meaningless.

    Notes
    -----
    The thresholds lie in gaps between the values measured in the 253 runs of benchmarks/studies and in those
    of docs/study.md. That of 1-NNA is three standard errors for sets of 100 shapes.
    """
    known = {**dict.fromkeys(ACCURACIES, 0.5), **known}

    def ratio(name: str) -> float:
        return scores[name] / known[name] if known[name] else 1.0

    has_reference = ACCURACIES[0] in scores
    told_apart = has_reference and max(scores[name] - known[name] for name in ACCURACIES) > 0.15
    faults = {
        "nearly-empty": ratio("voxels") < 0.25,
        "too-full": ratio("voxels") > 2.5,
        "collapsed": ratio("diversity") < 0.5,
        "noise": ratio("largest_piece") < 0.7,
        "shifted": is_shifted,
        "copies": scores.get("near_copies", 0) - known.get("near_copies", 0) > 0.5,
        "little-variety": ratio("distinct_nearest_share") < 0.5,
        "loose-parts": ratio("nearly_one_piece") < 0.5,
        "told-apart": told_apart,
    }
    fault = next((name for name, is_so in faults.items() if is_so), None)
    key = fault or ("close" if has_reference else "healthy")
    sentence = VERDICTS[key].format(known=known, **scores)
    return key, f"{sentence} See docs/troubleshooting.md#{key}" if fault else sentence

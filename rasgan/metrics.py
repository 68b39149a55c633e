"""How good a set of shapes is: distances between voxel shapes, and what they say of two sets of them.

Arrays in, numbers out. `reference_scores` compares a set with real shapes that were kept back, as it is
done for point clouds; `neighbor_scores` looks for collapse and copying among the shapes of the training;
`shape_statistics` needs the set alone; `score_sets` does all three. Every pairwise distance is a sum over
voxels, taken for all pairs at once as matrix products of blocks small enough to be exact in float32. So equal
distances come out equal, and ties are ties.

References
----------
P. Achlioptas, O. Diamanti, I. Mitliagkas, L. Guibas. Learning representations and generative models for 3D
point clouds. ICML 2018: coverage, minimum matching distance, Jensen-Shannon divergence.
G. Yang, X. Huang, Z. Hao, M.-Y. Liu, S. Belongie, B. Hariharan. PointFlow: 3D point cloud generation with
continuous normalizing flows. ICCV 2019: 1-nearest-neighbor accuracy of shapes.
D. Lopez-Paz, M. Oquab. Revisiting classifier two-sample tests. ICLR 2017: that accuracy itself.
"""

from collections.abc import Callable, Iterable, Iterator
from functools import cached_property

import numpy as np
from scipy.ndimage import distance_transform_edt
from scipy.spatial.distance import jensenshannon

from rasgan.packed_grids import PackedGrids
from rasgan.voxels import is_occupied, label_pieces, surface_mask

NEAR_COPY = 0.05
"""A shape at most this IoU distance from another, 95 % of all their voxels in common, nearly repeats it."""

NEARLY_ALL = 0.99
"""A shape with this share of its voxels in its largest piece has no more than specks beside it."""

SLICE = 256
"""Training shapes that are compared at a time: 74 MB at 64³."""

GENERATED, TRAINING, NOISE, REFERENCE = "generated", "training set", "noise", "reference"
"""The sets that `score_sets` scores."""


class ShapeSet:
    """Shapes, (N, n, n, n) bool with N > 1, and what several scores need of them, computed once each."""

    def __init__(self, occupied: np.ndarray) -> None:
        self.occupied = occupied

    @cached_property
    def distance_transforms(self) -> np.ndarray:
        """Squared distances to the surface, (N, n, n, n)."""
        return distance_transforms(self.occupied)

    @cached_property
    def iou(self) -> np.ndarray:
        """IoU distances within the set, (N, N)."""
        return iou_distances(self.occupied, self.occupied)

    @cached_property
    def chamfer(self) -> np.ndarray:
        """Chamfer distances within the set, (N, N)."""
        return chamfer_distances(self.distance_transforms, self.distance_transforms)

    @cached_property
    def diversity(self) -> float:
        """Mean IoU distance of all pairs of different shapes."""
        count = len(self.iou)
        return float((self.iou.sum() - np.trace(self.iou)) / (count * (count - 1)))


def iou_distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Measure 1 - intersection / union between all pairs of shapes: (N, ...), (M, ...) bools to (N, M).

    0 stands for the same voxels, 1 for none in common. Two empty grids are the same.
    """
    shared = np.zeros((len(a), len(b)))
    for block_a, block_b in _blocks(a, b, a.any(axis=0) & b.any(axis=0), largest=1):
        shared += block_a @ block_b.T
    union = _count(a)[:, None] + _count(b)[None, :] - shared
    return 1 - np.divide(shared, union, out=np.ones_like(shared), where=union > 0)


def distance_transforms(shapes: np.ndarray) -> np.ndarray:
    """Measure how far every voxel is from the nearest surface voxel of its shape, (N, n, n, n) bool.

    Returns squared Euclidean distances between middles of voxels, exact, as unsigned integers; the edge of a
    voxel is 1. They are 0 on the surface, which is that of `rasgan.voxels.surface_mask`, and there alone. An
    empty grid has no surface; it has 3 * n**2 everywhere, the squared diagonal of the grid, which no real
    distance reaches.
    """
    far = 3 * shapes.shape[-1] ** 2
    transforms = np.full(shapes.shape, far, dtype=np.min_scalar_type(far))
    for slot, shape in zip(transforms, shapes, strict=True):
        if shape.any():
            # the squares are whole numbers, which the root and the square of it miss by little
            slot[...] = np.rint(distance_transform_edt(~surface_mask(shape)) ** 2)
    return transforms


def chamfer_distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Measure the Chamfer distance between the surface voxels of all pairs of shapes.

    The mean, over the surface voxels of one shape, of the squared distance to the nearest surface voxel of
    the other, plus the same with the roles exchanged. Lengths are shares of the grid's edge, so that shapes
    of all resolutions compare: a surface one voxel off everywhere is at 2 / n**2. An empty grid is at 6 from
    every other, the squared diagonal both ways, and at 0 from another empty one.

    `a` and `b` are the `distance_transforms` of N and M shapes, the result is (N, M) float64; the sums behind
    it are exact. A set with itself takes half the time.
    """
    edge = a.shape[-1]
    distances = _mean_squared_distances(a, b)
    distances += distances.T if a is b else _mean_squared_distances(b, a).T
    return distances / edge**2


def _mean_squared_distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Average the distance transform of each b over the surface of each a: (N, M) float64."""
    far = 3 * a.shape[-1] ** 2
    surface = a == 0
    total = np.zeros((len(a), len(b)))
    for block_a, block_b in _blocks(surface, b, surface.any(axis=0), largest=far):
        total += block_a @ block_b.T
    points = _count(surface)
    means = total / np.maximum(points, 1)[:, None]
    is_empty_b = b[:, 0, 0, 0] == far
    means[points == 0] = np.where(is_empty_b, 0, far)
    return means


def _blocks(
    a: np.ndarray, b: np.ndarray, used: np.ndarray, largest: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Cut the `used` voxels of two sets into blocks whose products, each at most `largest`, add up exactly.

    The same array twice gives the same block twice, of which numpy computes half the product.
    """
    flat_a, flat_b = a.reshape(len(a), -1), b.reshape(len(b), -1)
    voxels = np.flatnonzero(used)
    step = min(4096, 2**24 // largest)  # below 2**24, float32 adds whole numbers exactly
    for start in range(0, len(voxels), step):
        block = voxels[start : start + step]
        block_a = flat_a.take(block, axis=1).astype(np.float32)
        yield block_a, block_a if a is b else flat_b.take(block, axis=1).astype(np.float32)


def _count(shapes: np.ndarray) -> np.ndarray:
    """Count the voxels of each shape; row by row, which numpy does many times faster than along an axis."""
    return np.array([np.count_nonzero(shape) for shape in shapes])


def coverage(distances: np.ndarray, within_reference: np.ndarray) -> float:
    """Return the share of reference shapes that are the nearest one of some generated shape (COV).

    1 is best. Low coverage means that kinds of shapes are missing; the quality of the covered ones does not
    count. Of references equally near the first is the nearest; its exact copies are covered with it. The
    distances are those from generated to reference shapes, (G, R), and among the reference shapes, (R, R).
    """
    nearest = np.unique(distances.argmin(axis=1))
    return float((within_reference[nearest] == 0).any(axis=0).mean())


def minimum_matching_distance(distances: np.ndarray) -> float:
    """Average each reference shape's distance to the nearest generated one, (G, R): MMD. 0 is best."""
    return float(distances.min(axis=0).mean())


def nearest_neighbor_accuracy(
    within: np.ndarray, distances: np.ndarray, within_reference: np.ndarray
) -> tuple[float, float]:
    """Measure in how many cases the nearest neighbor tells from which of two sets of equal size a shape is.

    Each shape of the union is taken for one of the set that its nearest other shape is from. The mean of both
    shares is the 1-nearest-neighbor accuracy (1-NNA). At 0.5, the best, the sets cannot be told apart.
    Towards 1 they are different; towards 0 each shape has a copy in the other set. A shape as near to one set
    as to the other counts half. ValueError if the sets are not of one size, which would move the best value
    away from 0.5.

    Parameters
    ----------
    within, distances, within_reference : (N, N) arrays
        Among the generated shapes, from generated to reference shapes, among the reference shapes.

    Returns
    -------
    of_generated, of_reference : float
        Trust the mean only where these two are alike. Noise may have 0 and 1 by IoU distance, and so the
        best of means: it has more in common with the fullest solid shapes than with other noise.
    """
    if within.shape != within_reference.shape:
        raise ValueError(f"sets of equal size are needed, not {len(within)} and {len(within_reference)}")
    return _share_nearer(within, distances), _share_nearer(within_reference, distances.T)


def _share_nearer(within: np.ndarray, across: np.ndarray) -> float:
    """Share of shapes that are nearer to another one of their own set than to any of the other set."""
    own = leave_out_self(within, np.arange(len(within))).min(axis=1)
    other = across.min(axis=1)
    return float(np.mean((own < other) + 0.5 * (own == other)))


def leave_out_self(distances: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """Copy distances from the `chosen` shapes of a set to all of it, each one's to itself made infinite."""
    others = distances.copy()
    others[np.arange(len(chosen)), chosen] = np.inf
    return others


def occupancy_divergence(a: np.ndarray, b: np.ndarray) -> float:
    """Compare where in the grid two sets have their voxels: Jensen-Shannon divergence (JSD) in bits.

    The occupied voxels of all shapes of a set together are a distribution over the places in the grid. 0
    means the same distribution, 1 (logarithms are to base 2) that no place is shared. Two sets of empty grids
    are at 0, one such and another at 1. Achlioptas et al. sort points into voxels; here are the voxels.
    """
    p, q = (shapes.sum(axis=0, dtype=np.float64).ravel() for shapes in (a, b))
    if not p.any() or not q.any():
        return float(p.any() != q.any())
    return float(jensenshannon(p, q, base=2) ** 2)


def reference_scores(shapes: ShapeSet, reference: ShapeSet) -> dict[str, float]:
    """Compare a set with real shapes of the same number: COV, MMD and 1-NNA by both distances, and JSD.

    Yang et al. trust 1-NNA most: unlike the others it suffers from poor shapes and from missing ones. Read it
    with its halves, as `nearest_neighbor_accuracy` says.
    """
    distances = {
        "iou": iou_distances(shapes.occupied, reference.occupied),
        "chamfer": chamfer_distances(shapes.distance_transforms, reference.distance_transforms),
    }
    found: dict[str, float] = {}
    for name, between in distances.items():
        within, within_reference = getattr(shapes, name), getattr(reference, name)
        found[f"coverage_{name}"] = coverage(between, within_reference)
        found[f"minimum_matching_distance_{name}"] = minimum_matching_distance(between)
        halves = nearest_neighbor_accuracy(within, between, within_reference)
        accuracy = f"nearest_neighbor_accuracy_{name}"
        found[accuracy] = sum(halves) / 2
        found[f"{accuracy}_of_generated"], found[f"{accuracy}_of_reference"] = halves
    found["occupancy_divergence"] = occupancy_divergence(shapes.occupied, reference.occupied)
    return found


def neighbor_scores(distances: np.ndarray) -> dict[str, float]:
    """Look for collapse and for copying in the IoU distances from generated to training shapes, (G, T).

    Returns
    -------
    found : dict
        ``distinct_nearest``, how many training shapes are the nearest one of some generated shape (of equally
        near ones the first), and ``distinct_nearest_share`` of the most that could be, G or T; few mean
        collapse. ``nearest_mean`` and ``nearest_min`` of the distances to the nearest training shape;
        ``copies``, the share of generated shapes at 0, and ``near_copies``, at most `NEAR_COPY`, copies
        included.
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
    """Count the training shapes that are nearest to some generated one, as `neighbor_scores` says."""
    count = len(np.unique(distances.argmin(axis=1)))
    return {"distinct_nearest": count, "distinct_nearest_share": count / min(distances.shape)}


def shape_statistics(shapes: np.ndarray) -> dict[str, float]:
    """Measure whether shapes, (N, n, n, n) bool, hold together, stand, and match left to right.

    Voxels belong to one piece where they touch face to face, as in `rasgan.voxels.largest_piece`.

    Returns
    -------
    found : dict
        ``one_piece``, the share of shapes that are a single piece, and ``nearly_one_piece``, that have at
        least `NEARLY_ALL` of their voxels in the largest one. Over the shapes that are not empty (0 where all
        are): ``pieces_median``; the means of ``largest_piece``, the share of a shape's voxels in its largest
        piece, and of ``grounded``, the share in pieces that reach down to the lowest layer of the largest;
        and the mean of `mirror_iou`. ``faces_per_voxel``: faces between an occupied voxel and an empty one or
        the grid's border, over all occupied voxels. And what `fullness` finds.
    """
    full = [shape for shape in shapes if shape.any()]
    found = [_pieces(shape) for shape in full] or [(0, 0.0, 0.0)]
    pieces, largest, grounded = (np.array(column) for column in zip(*found, strict=True))
    voxels = sum(np.count_nonzero(shape) for shape in full)
    return {
        "one_piece": float((pieces == 1).sum() / len(shapes)),
        "nearly_one_piece": float((largest >= NEARLY_ALL).sum() / len(shapes)),
        "pieces_median": float(np.median(pieces)),
        "largest_piece": float(largest.mean()),
        "grounded": float(grounded.mean()),
        "mirror_iou": float(np.mean([mirror_iou(shape) for shape in full])) if full else 0.0,
        "faces_per_voxel": float(sum(map(exposed_faces, full)) / voxels) if full else 0.0,
        **fullness(shapes),
    }


def _pieces(shape: np.ndarray) -> tuple[int, float, float]:
    """Count the pieces of a shape that is not empty, and measure its largest and its grounded share."""
    piece, sizes = label_pieces(shape)
    lowest = (piece == sizes.argmax()).any(axis=(0, 2)).argmax()
    standing = np.unique(piece[:, lowest])
    return len(sizes) - 1, sizes.max() / sizes.sum(), sizes[standing].sum() / sizes.sum()


def mirror_iou(shape: np.ndarray) -> float:
    """Measure intersection / union of an (n, n, n) bool shape and its mirror image along axis 0.

    1 where left is like right. The mirror stands in the middle of the grid. An empty grid is its own image.
    """
    union = np.count_nonzero(shape | shape[::-1])
    return np.count_nonzero(shape & shape[::-1]) / union if union else 1.0


def exposed_faces(shape: np.ndarray) -> int:
    """Count the faces between an occupied voxel and an empty one, or the border of the grid."""
    around = np.pad(shape, 1)
    return sum(np.count_nonzero(np.diff(around, axis=axis)) for axis in range(3))


def fullness(shapes: np.ndarray) -> dict[str, float]:
    """Measure the share of ``empty`` grids and the mean number of occupied ``voxels``."""
    counts = _count(shapes)
    return {"empty": float((counts == 0).mean()), "voxels": float(counts.mean())}


def quick_scores(grids: np.ndarray, training_shapes: np.ndarray | PackedGrids) -> dict[str, float]:
    """Measure what shows a collapse, cheaply enough to be done while training: no Chamfer, no reference.

    Parameters
    ----------
    grids : (N, n, n, n) float or bool array
        Generated scores, N > 1; 64 are enough, and take well under a second at 64³.
    training_shapes : (T, n, n, n) bool array or PackedGrids
        Compared in slices of `SLICE` shapes, so that any number needs little memory.

    Returns
    -------
    found : dict
        ``diversity`` and what `distinct_nearest` and `shape_statistics` find.
    """
    occupied = is_occupied(grids)
    if not isinstance(training_shapes, PackedGrids):
        training_shapes = PackedGrids.of(training_shapes)
    own = PackedGrids.of(occupied).rows(slice(None))
    starts = range(0, len(training_shapes), SLICE)
    distances = [iou_distances(own, training_shapes.rows(slice(start, start + SLICE))) for start in starts]
    return {
        "diversity": ShapeSet(occupied).diversity,
        **distinct_nearest(np.concatenate(distances, axis=1)),
        **shape_statistics(occupied),
    }


def static_noise(reference: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Make as many shapes whose voxels are occupied independently, with the reference's mean occupancy."""
    made, share = np.empty_like(reference), reference.mean()
    for shape in made:
        shape[...] = rng.random(shape.shape, dtype=np.float32) < share
    return made


def score_sets(
    generated: np.ndarray,
    reference: np.ndarray,
    training: np.ndarray | None = None,
    chosen: np.ndarray | None = None,
    static: np.ndarray | None = None,
    progress: Callable[[list], Iterable] = iter,
) -> dict[str, dict[str, float]]:
    """Score the generated shapes and, beside them, what is known: training set, noise, reference.

    Parameters
    ----------
    generated, reference, static : (N, n, n, n) bool arrays
        `static` is noise, as `static_noise` makes it; without it and `training` their rows are left out.
    training : (T, n, n, n) bool array, optional
        All of the training set. Without it, neighbors are looked for in the reference.
    chosen : (N,) int array
        The training shapes that are scored.
    progress : callable, optional
        Wraps the list of the sets, to show how far the work has come.

    Returns
    -------
    rows : dict of dict
        Of each set, by its name: `reference_scores` (but not of the reference itself), ``diversity``,
        `neighbor_scores` and `shape_statistics`. A shape is not its own neighbor.
    """
    sets = {GENERATED: generated}
    if training is None:
        training, own = reference, {REFERENCE: np.arange(len(reference))}
    else:
        sets[TRAINING], own = training[chosen], {TRAINING: chosen}
    if static is not None:
        sets[NOISE] = static
    sets[REFERENCE] = reference
    known, rows = ShapeSet(reference), {}
    for name, occupied in progress(list(sets.items())):
        shapes = known if name == REFERENCE else ShapeSet(occupied)
        distances = iou_distances(occupied, training)
        if name in own:
            distances = leave_out_self(distances, own[name])
        rows[name] = {
            **({} if name == REFERENCE else reference_scores(shapes, known)),
            "diversity": shapes.diversity,
            **neighbor_scores(distances),
            **shape_statistics(occupied),
        }
    return rows

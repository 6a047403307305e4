"""Contrastive losses: NT-Xent, cross-view, few negatives, NNCLR, and InfoNCE with a queue."""

from __future__ import annotations

import tensorflow as tf

from twofold.components import distribute, keyed_random
from twofold.components.errors import SettingsError
from twofold.components.losses.reduction import mean_share, widen

# Keeps the choice of negatives apart from what the same keys are used for elsewhere.
_NEGATIVES = 0x6E65


def nt_xent(
    local_views: tf.Tensor,
    all_views: tf.Tensor,
    first_row: tf.Tensor,
    temperature: float,
    same: tf.Tensor | None = None,
) -> tuple[tf.Tensor, tf.Tensor]:
    """NT-Xent, the normalised temperature-scaled cross-entropy (Chen et al., 2020, equation 1).

    For each of the 2N projections i with partner p(i), the loss is ``-log(exp(s(i, p(i)) / tau) /
    sum over j != i of exp(s(i, j) / tau))`` with cosine similarity s, and the result is the mean
    over all 2N. The rows may be a part of the batch, as on one replica of several: then the results
    of all parts add up to the global ones, and so do their gradients.

    Args:
        local_views: projections [2, n, P] of the rows to compute, view by view; any float type,
            computed in float32 or wider.
        all_views: projections [2, N, P] of the global batch, the local rows among them.
        first_row: int32 scalar, where in the global batch the local rows begin.
        temperature: tau > 0.
        same: as of ``same_images``; views of an image that a row shows are no negatives of it.

    Returns:
        (loss, accuracy), scalars: this part's share of the mean loss, and of the share of rows
        whose nearest other projection is their partner.

    """
    logits, itself, partner = _against_all(local_views, all_views, first_row, temperature)
    columns = tf.shape(logits)[1]
    logits = _mask(logits, tf.one_hot(itself, columns, on_value=True, off_value=False))
    if same is not None:
        logits = _mask(logits, _repeats(tf.tile(same, [2, 2]), partner))
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=partner, logits=logits)
    return _share(losses, columns), _share(_hits(logits, partner), columns)


def cross_view(
    local_views: tf.Tensor,
    all_views: tf.Tensor,
    first_row: tf.Tensor,
    temperature: float,
    same: tf.Tensor | None = None,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Cross-entropy of each view over the N images of the other view, both ways.

    The contrastive loss of CLIP (Radford et al., 2021, figure 3) and ConVIRT (Zhang et al., 2020,
    equations 2 to 4, equally weighted) between two views of an image, and InfoNCE (van den Oord et
    al., 2018, equation 4) in each direction. With the N x N cosine similarities s of the first view
    against the second, it is the mean over i of ``-log(exp(s(i, i) / tau) / sum over j of exp(s(i,
    j) / tau))``, averaged with the same for s transposed. Unlike in NT-Xent, images of the same
    view do not repel each other.

    Args:
        local_views: projections [2, n, P] of the rows to compute, view by view; any float type,
            computed in float32 or wider.
        all_views: projections [2, N, P] of the global batch, the local rows among them.
        first_row: int32 scalar, where in the global batch the local rows begin.
        temperature: tau > 0.
        same: as of ``same_images``; views of an image that a row shows are no negatives of it.

    Returns:
        (loss, accuracy), scalars: this part's share of the loss, and of the share of projections
        whose nearest projection in the other view is their partner, both ways.

    """
    local_views, all_views = _normalise(local_views), _normalise(all_views)
    return _both_ways(local_views, tf.reverse(all_views, axis=[0]), first_row, temperature, same)


def contrastive_accuracy(
    local_first: tf.Tensor, local_second: tf.Tensor, same: tf.Tensor | None = None
) -> tf.Tensor:
    """How often an image is the nearest of the global batch to its other view, both ways.

    Chen et al., 2020, appendix B.6 and table 5, between two views.

    Args:
        local_first: features or projections [n, P] of the first view of this replica's images; any
            float type, computed in float32 or wider.
        local_second: those of the second view.
        same: as of ``same_images``; views of an image that a row shows are not looked at.

    Returns:
        Scalar, this replica's share of the accuracy, which is in [0, 1].

    """
    views = _normalise(tf.stack([local_first, local_second]))
    everywhere = tf.reverse(distribute.gather(views, axis=1), axis=[0])
    start = distribute.first_row(tf.shape(views)[1])
    _, accuracy = _both_ways(views, everywhere, start, 1.0, same)
    return accuracy


def few_negatives(
    local_views: tf.Tensor,
    all_views: tf.Tensor,
    first_row: tf.Tensor,
    temperature: float,
    negatives: float,
    keys: tf.Tensor,
    same: tf.Tensor | None = None,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Contrastive loss with a few random negatives, and the positive not in the denominator.

    For each of the 2N projections i with partner p(i), ``-log(exp(s(i, p(i)) / tau) / sum over j in
    K(i) of exp(s(i, j) / tau))``, the mean over all 2N. K(i) are k different projections, each set
    of k equally likely, out of the 2N - 2 that are neither i nor p(i). This is NT-Xent (Chen et
    al., 2020, equation 1) with fewer terms in the denominator, among them no positive one, as in
    decoupled contrastive learning (Yeh et al., 2022); it can be below zero.

    An image's key and view choose positions in the global batch, so that the choice, as the loss,
    is the same on any number of replicas.

    Args:
        local_views: projections [2, n, P] of the rows to compute, view by view; any float type,
            computed in float32 or wider.
        all_views: projections [2, N, P] of the global batch, the local rows among them.
        first_row: int32 scalar, where in the global batch the local rows begin.
        temperature: tau > 0.
        negatives: k, from 1 to 2N - 2; or below 1 the share of the 2N projections that k is,
            rounded down, and at least 1.
        keys: uint32 [n], the randomness of each local image at this step.
        same: as of ``same_images``; views of an image that a row shows are not chosen. Where too
            few others are left, all of these are; where none is, the row's loss is 0.

    Returns:
        (loss, accuracy), scalars: this part's share of the mean loss, and of the share of rows
        whose nearest other projection, of all 2N - 1 or those of another image, is their partner.

    Raises:
        SettingsError: if there are not as many negatives to choose from.

    """
    images = all_views.shape[1]
    if negatives <= 0 or (images is not None and negatives > 2 * images - 2):
        among = "2N - 2" if images is None else f"2N - 2 = {2 * images - 2}"
        raise SettingsError(
            f"negatives must be from 1 to {among} for a global batch of N images, "
            f"received {negatives}"
        )
    logits, itself, partner = _against_all(local_views, all_views, first_row, temperature)
    columns = tf.shape(logits)[1]
    is_itself = tf.one_hot(itself, columns, on_value=True, off_value=False)
    is_partner = tf.one_hot(partner, columns, on_value=True, off_value=False)

    keys = keyed_random.fold_in(keys, _NEGATIVES)
    anchor_keys = tf.concat([keyed_random.fold_in(keys, view) for view in (0, 1)], axis=0)
    draws = keyed_random.uniform(anchor_keys, columns)
    draws = tf.where(is_itself | is_partner, -1.0, draws)
    if same is not None:
        draws = tf.where(_repeats(tf.tile(same, [2, 2]), partner), -1.0, draws)
    count = tf.constant(int(negatives)) if negatives >= 1 else _share_of(negatives, columns)
    drawn, chosen = tf.math.top_k(draws, k=count, sorted=False)

    negative, positive = (tf.gather(logits, one, batch_dims=1) for one in (chosen, partner))
    if same is not None:
        is_left_out = drawn < 0
        negative = _mask(negative, is_left_out)
        logits = _mask(logits, _repeats(tf.tile(same, [2, 2]), partner))
    losses = tf.reduce_logsumexp(negative, axis=1) - positive
    if same is not None:
        losses = tf.where(tf.reduce_all(is_left_out, axis=1), tf.zeros_like(losses), losses)
    hits = _hits(_mask(logits, is_itself), partner)
    return _share(losses, columns), _share(hits, columns)


def _share_of(share: float, columns: tf.Tensor) -> tf.Tensor:
    """Returns how many of so many columns a share is: at most all but two, and at least 1."""
    # As a float of 64 bits, as which Python and NumPy multiply.
    count = tf.cast(tf.constant(share, tf.float64) * tf.cast(columns, tf.float64), tf.int32)
    return tf.clip_by_value(count, 1, columns - 2)


def same_images(image_ids: tf.Tensor | None) -> tf.Tensor | None:
    """Tells which images of the global batch are one and the same.

    Args:
        image_ids: int64 [n] of this replica's images, equal for equal images; None where no batch
            holds an image twice.

    Returns:
        bool [n, N], whether a local image is that of a row of the global batch; None likewise.

    """
    if image_ids is None:
        return None
    return image_ids[:, None] == distribute.gather(image_ids, axis=0)[None, :]


def nearest_neighbour(
    projections: tf.Tensor,
    queue: tf.Tensor,
    same: tf.Tensor | None = None,
    *,
    straight_through: bool = True,
) -> tf.Tensor:
    """Finds each projection's nearest neighbour (NNCLR, Dwibedi et al., 2021, section 3.2).

    The neighbour is the queue's row with the largest dot product with the normalised projection.

    Args:
        projections: float [..., P], of any length.
        queue: float [Q, P], rows of unit length, which get no gradient.
        same: bool [n, Q] for projections [..., n, P], rows of the same image, which are no
            neighbours as long as there are others; None where there are none.
        straight_through: whether what arrives at a neighbour by the gradient is passed to the
            normalised projection as it is, as in keras.io's example (recipe B); otherwise it ends
            there, as in the paper's algorithm 1.

    Returns:
        Neighbours of the projections' shape, of unit length, float32 or wider.

    """
    projections = tf.math.l2_normalize(widen(projections), axis=-1)
    queue = tf.stop_gradient(tf.cast(queue, projections.dtype))
    similarity = tf.tensordot(tf.stop_gradient(projections), queue, axes=[[-1], [1]])
    if same is not None:
        # More than two between unit vectors.
        similarity -= 3.0 * tf.cast(same, similarity.dtype)
    neighbours = tf.gather(queue, tf.argmax(similarity, axis=-1))
    if not straight_through:
        return neighbours
    return projections + tf.stop_gradient(neighbours - projections)


def nnclr(
    local_first: tf.Tensor,
    local_second: tf.Tensor,
    queue: tf.Tensor,
    temperature: float,
    same: tf.Tensor | None = None,
    same_in_queue: tf.Tensor | None = None,
    *,
    predictions: tuple[tf.Tensor, tf.Tensor] | None = None,
    straight_through: bool = True,
) -> tuple[tf.Tensor, tf.Tensor]:
    """NNCLR, both ways and symmetric (Dwibedi et al., 2021, section 3.2).

    With the normalised predictions p1 and p2 of the two views and the nearest neighbours NN of
    their projections in the queue, the mean of four cross-entropies over the N images of the global
    batch, of NN(z1) among all p2, of p2 among all NN(z1), of NN(z2) among all p1, and of p1 among
    all NN(z2), each of the dot products divided by tau.

    Args:
        local_first: projections [n, P] of the first view of this replica's images; any float type,
            computed in float32 or wider.
        local_second: projections [n, P] of the second view.
        queue: float [Q, P], rows of unit length, the same on all replicas. A projection that was
            already in it would find itself: fill it afterwards.
        temperature: tau > 0.
        same: as of ``same_images``; views of an image that a row shows are no negatives of it.
        same_in_queue: bool [n, Q], rows of the queue that show the same image, which are no
            neighbours of it; None where there are none.
        predictions: those of a prediction head on the two views' projections, [n, P] each; None
            for the projections themselves, as in recipe B.
        straight_through: see ``nearest_neighbour``.

    Returns:
        (loss, accuracy), scalars: this replica's share of the loss, and of the share of predictions
        whose nearest prediction in the other view is their partner, both ways.

    """
    projections = _normalise(tf.stack([local_first, local_second]))
    # A second normalisation of the neighbours would bend the gradient that goes straight through.
    neighbours = nearest_neighbour(
        projections, queue, same_in_queue, straight_through=straight_through
    )
    views = projections if predictions is None else _normalise(tf.stack(predictions))
    all_views = distribute.gather(views, axis=1)
    all_neighbours = distribute.gather(neighbours, axis=1)
    first_row = distribute.first_row(tf.shape(views)[1])
    loss, _ = _both_ways(
        tf.concat([neighbours, views], axis=0),
        tf.concat([tf.reverse(all_views, axis=[0]), tf.reverse(all_neighbours, axis=[0])], axis=0),
        first_row,
        temperature,
        same,
    )
    _, accuracy = _both_ways(views, tf.reverse(all_views, axis=[0]), first_row, temperature, same)
    return loss, accuracy


def info_nce_queue(
    queries: tf.Tensor,
    keys: tf.Tensor,
    queue: tf.Tensor,
    temperature: float,
    same_in_queue: tf.Tensor | None = None,
) -> tuple[tf.Tensor, tf.Tensor]:
    """InfoNCE with a queue of negatives (MoCo, He et al., 2020, equation 1).

    The mean over the global batch of ``-log(exp(q k / tau) / (exp(q k / tau) + sum over the queue
    of exp(q k_j / tau)))``, q and k normalised. The keys come from the momentum encoder and get no
    gradient.

    Args:
        queries: projections [n, P] of this replica's images; any float type, computed in float32
            or wider.
        keys: projections [n, P] of another view of these images.
        queue: float [Q, P], rows of unit length, Q >= 1.
        temperature: tau > 0.
        same_in_queue: bool [n, Q], rows of the queue that show the same image, which are no
            negatives of it; None where there are none.

    Returns:
        (loss, accuracy), scalars: this replica's share of the loss, and of the share of queries
        that are nearer to their key than to every row of the queue.

    """
    queries = tf.math.l2_normalize(widen(queries), axis=1)
    keys = tf.stop_gradient(tf.math.l2_normalize(tf.cast(keys, queries.dtype), axis=1))
    queue = tf.stop_gradient(tf.cast(queue, queries.dtype))
    positive = tf.reduce_sum(queries * keys, axis=1, keepdims=True) / temperature
    negative = tf.matmul(queries, queue, transpose_b=True) / temperature
    if same_in_queue is not None:
        negative = _mask(negative, same_in_queue)
    losses = tf.reduce_logsumexp(tf.concat([positive, negative], axis=1), axis=1) - positive[:, 0]
    # A tie, as when all projections have collapsed to one, is no hit.
    hits = tf.cast(positive[:, 0] > tf.reduce_max(negative, axis=1), queries.dtype)
    return mean_share(losses), mean_share(hits)


def _normalise(projections: tf.Tensor) -> tf.Tensor:
    return tf.math.l2_normalize(widen(projections), axis=-1)


def _against_all(
    local_views: tf.Tensor, all_views: tf.Tensor, first_row: tf.Tensor, temperature: float
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Compares the 2n local projections with all 2N.

    Returns:
        (logits [2n, 2N], int32 [2n] the column of each row itself, int32 [2n] of its partner).

    """
    local_views, all_views = _normalise(local_views), _normalise(all_views)
    local_count, count = tf.shape(local_views)[1], tf.shape(all_views)[1]
    projections = local_views.shape[-1]
    rows = tf.reshape(local_views, [2 * local_count, projections])
    columns = tf.reshape(all_views, [2 * count, projections])
    position = first_row + tf.range(local_count)
    itself = tf.concat([position, count + position], axis=0)
    partner = tf.concat([count + position, position], axis=0)
    return tf.matmul(rows, columns, transpose_b=True) / temperature, itself, partner


def _both_ways(
    rows: tf.Tensor,
    columns: tf.Tensor,
    first_row: tf.Tensor,
    temperature: float,
    same: tf.Tensor | None = None,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Cross-entropy of rows over columns where row i belongs to column i, in several directions.

    Args:
        rows: float [V, n, P], the local rows of V directions, float32 or float64.
        columns: [V, N, P], what the rows of each direction choose among, of the same type.
        first_row: int32 scalar, the column that the first row belongs to.
        temperature: what the dot products are divided by, > 0.
        same: bool [n, N], columns that show the row's image; None where each shows its own.

    Returns:
        (loss, accuracy), scalars: this part's share of the mean over all V * N rows of the
        cross-entropy, and of how often the largest product is that with the row's own column.

    """
    directions, local_count = tf.shape(rows)[0], tf.shape(rows)[1]
    count = tf.shape(columns)[1]
    logits = tf.matmul(rows, columns, transpose_b=True) / temperature
    logits = tf.reshape(logits, [directions * local_count, count])
    partner = tf.tile(first_row + tf.range(local_count), [directions])
    if same is not None:
        logits = _mask(logits, _repeats(tf.tile(same, [directions, 1]), partner))
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=partner, logits=logits)
    return _share(losses, directions * count), _share(_hits(logits, partner), directions * count)


def _mask(logits: tf.Tensor, excluded: tf.Tensor) -> tf.Tensor:
    return tf.where(excluded, logits.dtype.min, logits)


def _repeats(same: tf.Tensor, partner: tf.Tensor) -> tf.Tensor:
    """Columns bool [rows, columns] of the row's image that are not its partner."""
    columns = tf.shape(same)[1]
    return same & tf.one_hot(partner, columns, on_value=False, off_value=True)


def _hits(logits: tf.Tensor, partner: tf.Tensor) -> tf.Tensor:
    nearest = tf.argmax(logits, axis=1, output_type=tf.int32)
    return tf.cast(tf.equal(nearest, partner), logits.dtype)


def _share(per_row: tf.Tensor, rows_in_batch: tf.Tensor) -> tf.Tensor:
    return tf.reduce_sum(per_row) / tf.cast(rows_in_batch, per_row.dtype)

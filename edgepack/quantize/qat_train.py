"""The training loop: seeded, interruptible, repeatable."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from edgepack.errors import DataError
from edgepack.models.dataset import Samples
from edgepack.models.progress import Progress
from edgepack.models.unreadable import NPZ_ERRORS
from edgepack.quantize.qat_graph import Simulation
from edgepack.quantize.qat_options import QatOptions
from edgepack.types import Array

_STAGE = "qat"
_MOMENTUM = 0.99  # of moving averages of ranges: what each further batch leaves of the average
_REPORTS = 200  # progress lines in all


@dataclass
class History:
    """What happened: steps, loss and accuracy of each epoch, and where it was resumed."""

    steps: int = 0
    resumed: int | None = None
    epochs: list[dict[str, float]] = field(default_factory=list)


@dataclass(frozen=True)
class Checkpoint:
    """A file with the whole state of a training, and a digest of what it belongs to."""

    path: Path
    identity: str

    def write(self, arrays: list[Array], step: int, sums: Array, epochs: list[Any]) -> None:
        """Replace the file, whole or not at all."""
        made = self.path.with_suffix(".part.npz")
        state: dict[str, Any] = {f"v{i}": a for i, a in enumerate(arrays)}
        flat = np.array([[e["loss"], e["accuracy"]] for e in epochs], np.float64).reshape(-1, 2)
        np.savez(
            made,
            identity=np.array(self.identity),
            step=np.array(step),
            sums=sums,
            epochs=flat,
            **state,
        )
        made.replace(self.path)

    def read(self) -> dict[str, Array] | None:
        """The state; None where there is none of this training."""
        if not self.path.is_file():
            return None
        try:
            with np.load(self.path, allow_pickle=False) as archive:
                found = {name: archive[name] for name in archive.files}
        except NPZ_ERRORS:
            return None  # cut short by a crash of the machine: training begins again
        return found if str(found.get("identity")) == self.identity else None


class Trainer:
    """Trains a simulation.

    Args:
        simulation: what to train, changed in place.
        samples: with labels, unless the teacher alone counts.
        options: how.
        teacher: scores for every sample, or None.

    Raises:
        DataError: labels that are missing or do not fit.
    """

    def __init__(
        self,
        simulation: Simulation,
        samples: Samples,
        options: QatOptions,
        teacher: Array | None,
    ) -> None:
        import keras

        self.simulation, self.samples, self.options = simulation, samples, options
        self.teacher = teacher
        self.classes = _class_labels(simulation, samples, options)
        self.per_epoch = -(-len(samples) // options.batch_size)
        self.total = self.per_epoch * options.epochs
        self.variables = simulation.trainable()
        if options.ranges != "learned":
            moving = {id(v) for r in simulation.ranges.values() for v in r.variables}
            self.variables = [v for v in self.variables if id(v) not in moving]
        rate = keras.optimizers.schedules.CosineDecay(options.learning_rate, self.total)
        self.optimizer = keras.optimizers.Adam(rate)
        self.optimizer.build(self.variables)
        self._step = self._compiled()

    # -- one step -----------------------------------------------------------------------------

    def _compiled(self) -> Any:
        import tensorflow as tf

        def step(inputs: Any, labels: Any, teacher: Any, average: Any) -> Any:
            watch: dict[int, Any] = {}
            with tf.GradientTape() as tape:
                values = self.simulation.run(inputs, watch=watch)
                scores = values[self.simulation.scores()].real
                loss = self._loss(scores, labels, teacher)
            gradients = tape.gradient(loss, [v.value for v in self.variables])
            self.optimizer.apply(
                [tf.zeros_like(v.value) if g is None else g
                 for g, v in zip(gradients, self.variables, strict=True)],
                self.variables,
            )  # fmt: skip
            if self.options.ranges == "average":
                self._average(watch, average)
            return loss, self._hits(scores, labels)

        return tf.function(step, autograph=False, reduce_retracing=True)

    def _loss(self, scores: Any, labels: Any, teacher: Any) -> Any:
        import keras
        import tensorflow as tf

        share, temperature = self.options.distill, self.options.temperature
        activation = self.simulation.activation
        loss = tf.constant(0.0)
        if share < 1:
            if self.classes and activation != "LOGISTIC":
                entropy = keras.losses.sparse_categorical_crossentropy
                own = entropy(labels, scores, from_logits=True)
            elif activation == "LOGISTIC":
                wanted = tf.reshape(tf.cast(labels, tf.float32), tf.shape(scores))
                own = tf.nn.sigmoid_cross_entropy_with_logits(wanted, scores)
            else:
                own = tf.square(scores - tf.cast(labels, tf.float32))
            loss += (1 - share) * tf.reduce_mean(own)
        if share > 0:
            if activation == "SOFTMAX" or self.classes:
                wanted = tf.nn.softmax(teacher / temperature)
                theirs = tf.nn.softmax_cross_entropy_with_logits(wanted, scores / temperature)
                loss += share * temperature**2 * tf.reduce_mean(theirs)
            else:
                loss += share * tf.reduce_mean(tf.square(scores - teacher))
        return loss

    def _hits(self, scores: Any, labels: Any) -> Any:
        import tensorflow as tf

        if not self.classes:
            return tf.constant(0, tf.int64)
        if int(scores.shape[-1]) == 1:
            hit = tf.equal(tf.cast(scores[:, 0] > 0, tf.int64), tf.cast(labels, tf.int64))
        else:
            hit = tf.equal(tf.argmax(scores, axis=-1), tf.cast(labels, tf.int64))
        return tf.reduce_sum(tf.cast(hit, tf.int64))

    def _average(self, watch: dict[int, Any], momentum: Any) -> None:
        for root, real in watch.items():
            found = self.simulation.ranges[root]
            if found.learned:
                found.average(real, momentum)

    # -- the loop -----------------------------------------------------------------------------

    def run(self, checkpoint: Checkpoint, progress: Progress) -> History:
        """Train to the end, from a checkpoint if there is one."""
        history = History(steps=self.total)
        sums, step = self._restore(checkpoint, history)
        written, every = time.monotonic(), max(1, self.total // _REPORTS)
        order = self._order(step // self.per_epoch)
        while step < self.total:
            epoch, position = divmod(step, self.per_epoch)
            if position == 0:
                order = self._order(epoch)
            start = position * self.options.batch_size
            sums += self._batch(order[start : start + self.options.batch_size], epoch)
            step += 1
            ended = step % self.per_epoch == 0
            mean = {"loss": float(sums[0] / sums[2]), "accuracy": float(sums[1] / sums[2])}
            if step % every == 0 or ended:
                progress(_STAGE, step / self.total, self._text(epoch, position + 1, mean))
            if ended:
                history.epochs.append(mean)
                sums = np.zeros(3)
            late = time.monotonic() - written > self.options.checkpoint_seconds
            if (ended or late) and step < self.total:
                checkpoint.write(self._state(), step, sums, history.epochs)
                written = time.monotonic()
        return history

    def _batch(self, chosen: Array, epoch: int) -> Array:
        """One step; sums of loss and hits, and how many samples."""
        import tensorflow as tf

        inputs = [tf.constant(a[chosen].astype(np.float32)) for a in self.samples.inputs]
        labels = self.samples.labels
        given = np.zeros(len(chosen), np.int64) if labels is None else labels[chosen]
        if self.classes:
            given = given.reshape(-1).astype(np.int64)
        teacher = np.zeros((len(chosen), 1), np.float32)
        if self.teacher is not None:
            teacher = self.teacher[chosen]
        settled = 2 * epoch >= self.options.epochs
        momentum = tf.constant(1.0 if settled else _MOMENTUM)
        loss, hits = self._step(inputs, tf.constant(given), tf.constant(teacher), momentum)
        return np.array([float(loss) * len(chosen), float(hits), len(chosen)])

    def _text(self, epoch: int, position: int, mean: dict[str, float]) -> str:
        text = f"epoch {epoch + 1}/{self.options.epochs}, step {position}/{self.per_epoch}"
        text += f", loss {mean['loss']:.4f}"
        return text + (f", accuracy {100 * mean['accuracy']:.2f} %" if self.classes else "")

    def _order(self, epoch: int) -> Array:
        """The order of samples: it depends on seed and epoch alone, so a checkpoint needs no more
        than the step to have the random state.
        """
        rng = np.random.default_rng([self.options.seed, epoch])
        return rng.permutation(len(self.samples))

    # -- state --------------------------------------------------------------------------------

    def _all(self) -> list[Any]:
        """Every variable that a step changes."""
        trained = {id(v) for v in self.variables}
        moving = [v for v in self.simulation.trainable() if id(v) not in trained]
        kept = self.simulation.statistics()
        return [*self.variables, *moving, *kept, *self.optimizer.variables]

    def _state(self) -> list[Array]:
        return [np.asarray(v) for v in self._all()]

    def _restore(self, checkpoint: Checkpoint, history: History) -> tuple[Array, int]:
        found = checkpoint.read()
        if found is None:
            return np.zeros(3), 0
        for index, variable in enumerate(self._all()):
            variable.assign(found[f"v{index}"])
        history.resumed = int(found["step"])
        history.epochs = [
            {"loss": float(loss), "accuracy": float(hit)} for loss, hit in found["epochs"]
        ]
        return found["sums"], history.resumed


def _class_labels(simulation: Simulation, samples: Samples, options: QatOptions) -> bool:
    """Whether labels are class indices.

    Raises:
        DataError: they are missing, or are none of the model's classes.
    """
    labels = samples.labels
    if labels is None:
        if options.distill < 1:
            raise DataError(
                "training needs labels and the data have none",
                allowed="x_train and y_train",
                next_step="with distill = 1 the float model alone teaches",
            )
        return False
    shape = simulation.editor.shape(simulation.graph, simulation.scores())
    flat = labels.reshape(len(labels), -1)
    classes = labels.dtype.kind in "iub" and flat.shape[1] == 1 and len(shape) == 2
    if not classes and tuple(labels.shape[1:]) != tuple(shape[1:]):
        raise DataError(
            f"one label has shape {list(labels.shape[1:])}",
            allowed=f"a class index, or {list(shape[1:])} as the output",
        )
    count = max(2, shape[-1]) if classes else 0
    if classes and (flat.min() < 0 or flat.max() >= count):
        raise DataError(
            f"labels go from {flat.min()} to {flat.max()}, the model has {count} classes",
            allowed=f"0 to {count - 1}",
        )
    return classes

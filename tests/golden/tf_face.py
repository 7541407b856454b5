"""Expressions in TensorFlow's names, and what TensorFlow 2.21 gives for them.

Run with an interpreter that has TensorFlow to write `tf_face.json.gz` anew; `../test_tf.py`
evaluates the same expressions on `minikeras.tf` and compares numbers, shapes and dtypes.
"""

import gzip
import json
from pathlib import Path

import numpy as np

FILE = Path(__file__).with_name("tf_face.json.gz")

EXPRESSIONS = """
tf.constant([1, 2, 3])
tf.constant(1.5, shape=(2, 2))
tf.constant([1, 2, 3, 4], shape=[2, 2], dtype=tf.float64)
tf.zeros([2, 3])
tf.ones((2,), dtype=tf.int32)
tf.zeros_like(M)
tf.ones_like(M, dtype=tf.int64)
tf.fill([2, 2], 7)
tf.range(5)
tf.range(2, 10, 3)
tf.range(0.0, 1.0, 0.25)
tf.linspace(0.0, 1.0, 5)
tf.eye(2, 3)
tf.eye(2, batch_shape=[2])
tf.cast([1.7, -1.7], tf.int32)
tf.reshape(M, [-1])
tf.shape(M)
tf.size(M)
tf.rank(M)
tf.transpose(M)
tf.transpose(C, perm=[2, 0, 1])
tf.expand_dims(V, axis=-1)
tf.squeeze(tf.ones((1, 2, 1)), axis=0)
tf.concat([M, M], axis=1)
tf.stack([V, V], axis=1)
tf.unstack(M, axis=1)
tf.split(V, 3)
tf.split(tf.range(6), [1, -1, 2])
tf.tile(V, [2])
tf.repeat(V, 2)
tf.pad(M, [[1, 0], [0, 2]])
tf.pad(M, [[1, 1], [1, 1]], mode='REFLECT')
tf.pad(V, [[1, 1]], constant_values=9.0)
tf.reverse(V, axis=[0])
tf.roll(V, shift=1, axis=0)
tf.broadcast_to(V, [2, 3])
tf.meshgrid([1, 2], [3, 4, 5])
tf.gather(V, [2, 0, 2])
tf.gather(M, [1], axis=1)
tf.gather(tf.reshape(tf.range(12), (2, 2, 3)), [[1], [0]], batch_dims=1)
tf.gather_nd(M, [[0, 1], [1, 2]])
tf.boolean_mask(V, [True, False, True])
tf.where(V > 1.0, V, 0.0)
tf.where([[True, False], [False, True]])
tf.one_hot([0, 2, -1], 3)
tf.one_hot([1], 2, on_value=5.0, off_value=-1.0)
tf.one_hot([0, 1], 2, axis=0, dtype=tf.int32)
tf.argmax(M)
tf.argmax(M, axis=1)
tf.argmin(M, axis=-1)
tf.sort([3.0, 1.0, 2.0], direction='DESCENDING')
tf.argsort([3.0, 1.0, 2.0])
tf.scatter_nd([[0], [2], [0]], [1.0, 2.0, 3.0], [4])
tf.tensor_scatter_nd_update(V, [[1]], [9.0])
tf.searchsorted([1.0, 3.0, 5.0], [2.0, 3.0])
tf.unique([1, 1, 2, 4, 4])
tf.clip_by_value(V, 1.0, 2.0)
tf.clip_by_norm(V, 1.0)
tf.clip_by_global_norm([V, M], 2.0)
tf.reduce_sum(M)
tf.reduce_sum(M, axis=0)
tf.reduce_mean(M, axis=1, keepdims=True)
tf.reduce_mean([1, 2, 4])
tf.reduce_max(M, axis=[0, 1])
tf.reduce_min(input_tensor=M)
tf.reduce_prod(V)
tf.reduce_any(M > 2.0)
tf.reduce_all(M > 2.0, axis=0)
tf.reduce_logsumexp(M, axis=1)
tf.math.reduce_std(M)
tf.math.reduce_variance(M, axis=0)
tf.cumsum(V)
tf.cumsum(V, exclusive=True, reverse=True)
tf.math.cumprod(V + 1.0)
tf.add(V, 1.0)
tf.subtract(V, V)
tf.multiply(2, 3)
tf.divide(V, 2)
tf.pow(V, 2.0)
tf.pow(2, 5)
tf.sqrt(V)
tf.square(V)
tf.abs(-V)
tf.sign([-2.0, 0.0, 3.0])
tf.exp(V)
tf.math.log(V + 1.0)
tf.math.log1p(V)
tf.sin(V)
tf.tanh(V)
tf.sigmoid(V)
tf.math.softplus(V)
tf.math.erf(V)
tf.math.squared_difference(V, 1.0)
tf.math.divide_no_nan([1.0, 2.0], [0.0, 4.0])
tf.math.floordiv(7, 2)
tf.math.floormod(-7, 3)
tf.maximum(V, 1.0)
tf.minimum(M, 2.0)
tf.equal(V, [0.0, 1.0, 9.0])
tf.less_equal(V, 1.0)
tf.logical_and([True, False], [True, True])
tf.math.top_k([1.0, 5.0, 3.0], k=2)
tf.math.count_nonzero([0, 1, 2])
tf.math.is_nan([1.0, float('nan')])
tf.math.l2_normalize([3.0, 4.0])
tf.math.bincount([1, 1, 2])
tf.add_n([V, V, V])
tf.matmul(M, M, transpose_b=True)
tf.matmul(M, tf.transpose(M))
tf.tensordot(V, V, axes=1)
tf.einsum('ij,kj->ik', M, M)
tf.norm(V)
tf.norm(M, axis=1)
tf.norm(M, ord=1)
tf.linalg.norm(M, ord='fro', axis=[0, 1])
tf.linalg.inv([[2.0, 0.0], [0.0, 4.0]])
tf.linalg.det([[2.0, 1.0], [1.0, 3.0]])
tf.linalg.solve([[2.0, 0.0], [0.0, 4.0]], [[2.0], [4.0]])
tf.linalg.trace([[1.0, 2.0], [3.0, 4.0]])
tf.linalg.trace(tf.reshape(tf.range(24.0), (2, 3, 4)))
tf.linalg.diag([1.0, 2.0])
tf.linalg.diag([[1.0, 2.0], [3.0, 4.0]], k=-1)
tf.linalg.diag_part([[1.0, 2.0], [3.0, 4.0]])
tf.linalg.diag_part(tf.reshape(tf.range(24.0), (2, 3, 4)), k=1)
tf.nn.relu([-1.0, 2.0])
tf.nn.relu6([7.0, -1.0])
tf.nn.leaky_relu([-1.0, 2.0])
tf.nn.elu([-1.0, 2.0])
tf.nn.gelu([-1.0, 2.0])
tf.nn.silu([-1.0, 2.0])
tf.nn.softmax(M)
tf.nn.log_softmax(M, axis=0)
tf.nn.bias_add(M, V)
tf.nn.l2_loss(V)
tf.nn.moments(M, axes=[0])
tf.nn.embedding_lookup(M, [1, 0])
tf.nn.softmax_cross_entropy_with_logits(labels=[[0.0, 0.0, 1.0]], logits=[[1.0, 2.0, 3.0]])
tf.nn.sparse_softmax_cross_entropy_with_logits(labels=[2, 0], logits=M)
tf.nn.sigmoid_cross_entropy_with_logits(labels=[0.0, 1.0], logits=[2.0, -1.0])
tf.nn.conv2d(I, tf.ones((2, 2, 1, 2)), strides=1, padding='SAME')
tf.nn.conv2d(I, tf.ones((2, 2, 1, 1)), strides=[1, 2, 2, 1], padding='VALID')
tf.nn.max_pool2d(I, ksize=2, strides=2, padding='VALID')
tf.nn.avg_pool2d(I, ksize=2, strides=2, padding='SAME')
tf.nn.dropout(V, rate=0.0)
tf.nest.flatten({'b': 1, 'a': [2, (3,)]})
tf.cond(tf.constant(True), lambda: V, lambda: M)
tf.while_loop(lambda i: i < 5, lambda i: [i + 2], [tf.constant(0)])
tf.map_fn(lambda row: row * 2.0, M)
tf.identity(V)
tf.is_tensor(V)
tf.executing_eagerly()
tf.convert_to_tensor(np.arange(3))
tf.random.uniform((2, 0))
tf.constant([1.0, 2.0]) + np.array([1, 2])
np.array([1.0, 2.0]) * tf.constant([1.0, 2.0])
tf.constant(7) // 2
tf.constant(7) % 4
-tf.constant([1, 2])
2.0 ** V
M @ tf.transpose(M)
V[1:]
M[:, 1]
M[..., tf.newaxis].shape
tf.Variable([1.0, 2.0]) * 2.0
tf.Variable(3).assign_add(4)
len(tf.data.Dataset.range(7).batch(2))
tf.keras.utils.to_categorical([0, 2], 3)
tf.keras.backend.epsilon()
tf.keras.losses.MeanSquaredError()([1.0, 2.0], [2.0, 4.0])
tf.keras.activations.relu(tf.constant([-1.0, 1.0]))
tf.constant(1.0).dtype.name
tf.float32.as_numpy_dtype(2)
tf.TensorSpec([None, 3], tf.float32).shape.rank
""".strip().splitlines()

RAISES = {
    "tf.debugging.assert_equal(1, 2)": "InvalidArgumentError",
    "tf.debugging.assert_less(V, 0.5)": "InvalidArgumentError",
    "tf.debugging.check_numerics(tf.constant(float('nan')), 'here')": "InvalidArgumentError",
    "tf.convert_to_tensor(tf.constant(1.0), dtype=tf.int32)": "ValueError",
    "tf.ensure_shape(M, (3, 3))": "InvalidArgumentError",
}


def evaluate(tf, expression):
    """Return an expression's value as nested lists with dtypes, so that values can be compared."""
    names = {
        "tf": tf,
        "np": np,
        "V": tf.constant([0.0, 1.0, 2.0]),
        "M": tf.constant([[1.0, 2.0, 3.0], [4.0, 5.0, 0.5]]),
        "C": tf.reshape(tf.range(6.0), (1, 2, 3)),
        "I": tf.reshape(tf.range(9.0), (1, 3, 3, 1)),
    }
    return plain(eval(expression, names))


def plain(value):
    if hasattr(value, "as_list"):
        return value.as_list()
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if hasattr(value, "numpy") or hasattr(value, "dtype"):
        array = np.asarray(value)
        return {"dtype": array.dtype.name, "shape": list(array.shape), "value": array.tolist()}
    return value


def main():
    import tensorflow as tf

    answers = {expression: evaluate(tf, expression) for expression in EXPRESSIONS}
    for expression, error in RAISES.items():
        try:
            evaluate(tf, expression)
        except Exception as raised:  # noqa: BLE001 - the name of the class is what is wanted
            assert type(raised).__name__ == error, (expression, type(raised).__name__)  # noqa: PT017
        else:
            raise AssertionError(f"{expression} does not raise")
    FILE.write_bytes(gzip.compress(json.dumps(answers).encode(), mtime=0))


if __name__ == "__main__":
    main()

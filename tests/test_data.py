import doctest
import gc
import json
import operator
import subprocess
import textwrap
import threading
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minikeras import data
from minikeras.core.spec import TensorSpec
from minikeras.core.tape import GradientTape
from minikeras.core.tensor import EagerTensor
from minikeras.core.variable import Variable
from minikeras.data import Dataset as D

# What the examples below call; `data` and `TS` are ours, or TensorFlow's in the oracle.
SETUP = """
import collections
import numpy as np

D, Options = data.Dataset, data.Options
P = collections.namedtuple("P", "a b")

def plain(element):
    if isinstance(element, dict):
        return {key: plain(value) for key, value in element.items()}
    if isinstance(element, tuple):
        parts = map(plain, element)
        return type(element)(*parts) if hasattr(element, "_fields") else tuple(parts)
    return element.tolist()

def L(dataset):
    return [plain(element) for element in dataset.as_numpy_iterator()]

def C(dataset):
    return int(dataset.cardinality())

def G(generator, types=None, shapes=None, **options):
    return D.from_generator(generator, types, shapes, **options)

B = (False, True)
S = [D.range(3), D.range(2).repeat(), D.range(4).filter(lambda x: x >= 0)]
"""

# Expressions and what TensorFlow 2.21 prints for them.
EXAMPLES = """
>>> D.from_tensor_slices([(1, 2), (3, 4)]).element_spec
TensorSpec(shape=(2,), dtype=tf.int32, name=None)
>>> D.from_tensor_slices(([1, 2], [3.0, 4.0])).element_spec
(TensorSpec(shape=(), dtype=tf.int32, name=None), TensorSpec(shape=(), dtype=tf.float32,
name=None))
>>> D.from_tensor_slices({'b': [1, 2], 'a': np.ones((2, 3))}).element_spec
{'b': TensorSpec(shape=(), dtype=tf.int32, name=None), 'a': TensorSpec(shape=(3,),
dtype=tf.float64, name=None)}
>>> D.from_tensor_slices(P([1, 2], [3, 4])).element_spec
P(a=TensorSpec(shape=(), dtype=tf.int32, name=None), b=TensorSpec(shape=(), dtype=tf.int32,
name=None))
>>> D.from_tensor_slices(({'a': [[1, 2], [3, 4]]}, ([2, 5], [3, 6]))).element_spec
({'a': TensorSpec(shape=(2,), dtype=tf.int32, name=None)}, (TensorSpec(shape=(), dtype=tf.int32,
name=None), TensorSpec(shape=(), dtype=tf.int32, name=None)))
>>> D.from_tensor_slices([]).element_spec
TensorSpec(shape=(), dtype=tf.float32, name=None)
>>> D.from_tensor_slices([2**40]).element_spec
TensorSpec(shape=(), dtype=tf.int64, name=None)
>>> D.from_tensor_slices([True]).element_spec
TensorSpec(shape=(), dtype=tf.bool, name=None)
>>> D.from_tensor_slices([np.float64(1)]).element_spec
TensorSpec(shape=(), dtype=tf.float64, name=None)
>>> D.from_tensor_slices([np.ones(2), np.ones(2)]).element_spec
TensorSpec(shape=(2,), dtype=tf.float64, name=None)
>>> D.from_tensors(([1, 2], {'a': 3.0})).element_spec
(TensorSpec(shape=(2,), dtype=tf.int32, name=None), {'a': TensorSpec(shape=(), dtype=tf.float32,
name=None)})
>>> L(D.from_tensor_slices({'b': [1, 2], 'a': [[1.0], [2.0]]}))
[{'b': 1, 'a': [1.0]}, {'b': 2, 'a': [2.0]}]
>>> L(D.from_tensor_slices(P([1, 2], [3, 4])))
[P(a=1, b=3), P(a=2, b=4)]
>>> L(D.range(5))
[0, 1, 2, 3, 4]
>>> L(D.range(1, 10, 3))
[1, 4, 7]
>>> L(D.range(5, 0, -2))
[5, 3, 1]
>>> D.range(5, output_type='int32').element_spec
TensorSpec(shape=(), dtype=tf.int32, name=None)
>>> L(D.range(2, output_type='float32').map(lambda x: x / 2))
[0.0, 0.5]
>>> L(D.range(5).batch(2))
[[0, 1], [2, 3], [4]]
>>> L(D.range(5).batch(2, drop_remainder=True))
[[0, 1], [2, 3]]
>>> D.range(5).batch(2).element_spec
TensorSpec(shape=(None,), dtype=tf.int64, name=None)
>>> D.range(5).batch(2, drop_remainder=True).element_spec
TensorSpec(shape=(2,), dtype=tf.int64, name=None)
>>> [C(D.range(n).batch(b, drop_remainder=d)) for n in (0, 4, 5) for b in (2, 9) for d in B]
[0, 0, 0, 0, 2, 2, 1, 0, 3, 2, 1, 0]
>>> L(D.range(5).batch(10))
[[0, 1, 2, 3, 4]]
>>> L(D.range(5).batch(10, drop_remainder=True))
[]
>>> D.range(5).batch(2).batch(2).element_spec
TensorSpec(shape=(None, None), dtype=tf.int64, name=None)
>>> L(D.range(4).batch(2).batch(2))
[[[0, 1], [2, 3]]]
>>> L(D.from_tensor_slices({'b': [1, 2, 3], 'a': [[1.0], [2.0], [3.0]]}).batch(2))
[{'b': [1, 2], 'a': [[1.0], [2.0]]}, {'b': [3], 'a': [[3.0]]}]
>>> L(D.range(5).batch(2).unbatch())
[0, 1, 2, 3, 4]
>>> D.range(5).batch(2).unbatch().element_spec
TensorSpec(shape=(), dtype=tf.int64, name=None)
>>> [C(D.range(5).batch(b, drop_remainder=d).unbatch()) for b in (1, 2, 5, 7) for d in B]
[-2, 5, -2, 4, -2, 5, -2, 0]
>>> [C(d.unbatch()) for d in (D.from_tensors([1, 2, 3]), D.from_tensors([1]).repeat())]
[3, -1]
>>> L(D.range(5).batch(2).rebatch(3))
[[0, 1, 2], [3, 4]]
>>> L(D.range(5).batch(2).rebatch(3, drop_remainder=True))
[[0, 1, 2]]
>>> [D.range(7).batch(2).rebatch(3, d).element_spec for d in B]
[TensorSpec(shape=(None,), dtype=tf.int64, name=None), TensorSpec(shape=(3,), dtype=tf.int64,
name=None)]
>>> L(D.range(2).repeat(2))
[0, 1, 0, 1]
>>> [C(D.range(5).repeat(n)) for n in (None, 0, 1, 3, -1, -2)]
[-1, 0, 5, 15, -1, -1]
>>> [C(D.range(0).repeat(n)) for n in (None, 3)]
[0, 0]
>>> L(D.range(5).take(0).repeat())
[]
>>> L(D.range(5).repeat().take(7))
[0, 1, 2, 3, 4, 0, 1]
>>> [L(D.range(3).take(n)) for n in (-2, 0, 2, 5)]
[[0, 1, 2], [], [0, 1], [0, 1, 2]]
>>> [C(D.range(3).take(n)) for n in (0, 2, 5)]
[0, 2, 3]
>>> [L(D.range(3).skip(n)) for n in (-2, 0, 2, 5)]
[[], [0, 1, 2], [2], []]
>>> [C(D.range(3).skip(n)) for n in (-2, 0, 2, 5)]
[0, 3, 1, 0]
>>> [C(f(D.range(3).repeat())) for f in (lambda d: d.take(7), lambda d: d.skip(7))]
[7, -1]
>>> [L(D.range(5).shard(3, i)) for i in range(3)]
[[0, 3], [1, 4], [2]]
>>> [C(D.range(5).shard(3, i)) for i in range(3)]
[2, 2, 1]
>>> L(D.range(5).filter(lambda x: x > 2))
[3, 4]
>>> L(D.from_tensor_slices(([1, 2, 3], [4, 5, 6])).filter(lambda a, b: a > 1).batch(2))
[([2, 3], [5, 6])]
>>> C(D.range(5).filter(lambda x: x > 2)), C(D.range(5).filter(lambda x: x > 2).batch(2))
(-2, -2)
>>> L(D.range(5).take_while(lambda x: x < 2)), C(D.range(5).take_while(lambda x: x < 2))
([0, 1], -2)
>>> L(D.range(2).enumerate(5))
[(5, 0), (6, 1)]
>>> D.range(2).enumerate().element_spec
(TensorSpec(shape=(), dtype=tf.int64, name=None), TensorSpec(shape=(), dtype=tf.int64, name=None))
>>> L(D.from_tensor_slices(([1], [2])).enumerate().map(lambda i, pair: pair[0] + pair[1]))
[3]
>>> L(D.range(3).concatenate(D.range(2)))
[0, 1, 2, 0, 1]
>>> D.from_tensors([1, 2]).concatenate(D.from_tensors([1, 2, 3])).element_spec
TensorSpec(shape=(None,), dtype=tf.int32, name=None)
>>> [C(a.concatenate(b)) for a in S for b in S]
[6, -1, -2, -1, -1, -1, -2, -1, -2]
>>> [C(D.zip(a, b)) for a in S for b in S]
[3, 3, -2, 3, -1, -2, -2, -2, -2]
>>> L(D.zip((D.range(5), D.range(2))))
[(0, 0), (1, 1)]
>>> L(D.zip(D.range(5), D.range(1)))
[(0, 0)]
>>> L(D.zip({'a': D.range(1), 'b': (D.range(1), D.range(1))}))
[{'a': 0, 'b': (0, 0)}]
>>> L(D.zip((D.from_tensor_slices([1, 2, 3]), D.from_tensor_slices([[4.0], [5.0]]))).batch(2))
[([1, 2], [[4.0], [5.0]])]
>>> D.zip((D.range(5), (D.range(5), D.range(5).batch(2)))).element_spec
(TensorSpec(shape=(), dtype=tf.int64, name=None), (TensorSpec(shape=(), dtype=tf.int64,
name=None), TensorSpec(shape=(None,), dtype=tf.int64, name=None)))
>>> L(D.range(2).map(lambda x: (x, x * 2)))
[(0, 0), (1, 2)]
>>> L(D.range(2).map(lambda x: [x, x]))
[(0, 0), (1, 1)]
>>> L(D.range(2).map(lambda x: {'a': x}))
[{'a': 0}, {'a': 1}]
>>> L(D.range(2).map(lambda x: 1.5))
[1.5, 1.5]
>>> L(D.range(1).map(lambda x: np.ones(2)))
[[1.0, 1.0]]
>>> D.range(2).map(lambda x: (x, x * 2)).element_spec
(TensorSpec(shape=(), dtype=tf.int64, name=None), TensorSpec(shape=(), dtype=tf.int64, name=None))
>>> D.range(2).map(lambda x: P(x, x)).element_spec
P(a=TensorSpec(shape=(), dtype=tf.int64, name=None), b=TensorSpec(shape=(), dtype=tf.int64,
name=None))
>>> D.range(5).batch(2).map(lambda x: (x, x[0], x[None])).element_spec
(TensorSpec(shape=(None,), dtype=tf.int64, name=None), TensorSpec(shape=(), dtype=tf.int64,
name=None), TensorSpec(shape=(1, None), dtype=tf.int64, name=None))
>>> L(D.from_tensor_slices(P([1], [2])).map(lambda p: p.a + p.b))
[3]
>>> L(D.from_tensor_slices({'a': [1], 'b': [2]}).map(lambda p: p['a'] + p['b']))
[3]
>>> L(D.zip((D.range(2), (D.range(2), D.range(2)))).map(lambda a, b: a + b[0] + b[1]))
[0, 3]
>>> D.range(5).reduce(np.int64(0), lambda state, x: state + x).numpy()
np.int64(10)
>>> D.zip(D.range(5), D.range(5)).reduce(np.int64(0), lambda s, xy: s + xy[0] * xy[1]).numpy()
np.int64(30)
>>> [t.numpy() for t in D.range(5).reduce((np.int64(0), 0), lambda s, x: (s[0] + x, s[1] + 1))]
[np.int64(10), np.int32(5)]
>>> [[L(w) for w in D.range(7).window(3, s, t, d)] for s in (1, 3, 5) for t in (1, 2) for d in B]
[[[0, 1, 2], [1, 2, 3], [2, 3, 4], [3, 4, 5], [4, 5, 6], [5, 6], [6]], [[0, 1, 2], [1, 2, 3], [2,
3, 4], [3, 4, 5], [4, 5, 6]], [[0, 2, 4], [1, 3, 5], [2, 4, 6], [3, 5], [4, 6], [5], [6]], [[0, 2,
4], [1, 3, 5], [2, 4, 6]], [[0, 1, 2], [3, 4, 5], [6]], [[0, 1, 2], [3, 4, 5]], [[0, 2, 4], [3,
5], [6]], [[0, 2, 4]], [[0, 1, 2], [5, 6]], [[0, 1, 2]], [[0, 2, 4], [5]], [[0, 2, 4]]]
>>> [C(D.range(7).window(3, s, t, d)) for s in (1, 2, 3, 5) for t in (1, 2) for d in B]
[7, 5, 7, 3, 4, 3, 4, 2, 3, 2, 3, 1, 2, 1, 2, 1]
>>> [(L(a), L(b)) for a, b in D.zip(D.range(3), D.range(3).batch(1)).window(2)]
[([0, 1], [[0], [1]]), ([2], [[2]])]
>>> L(D.range(6).window(3, shift=1, drop_remainder=True).flat_map(lambda w: w.batch(3)))
[[0, 1, 2], [1, 2, 3], [2, 3, 4], [3, 4, 5]]
>>> D.range(6).window(3).flat_map(lambda w: w.batch(3)).element_spec
TensorSpec(shape=(None,), dtype=tf.int64, name=None)
>>> L(D.zip(D.range(3), D.range(3)).window(2).flat_map(lambda a, b: D.zip(a.batch(2), b.batch(2))))
[([0, 1], [0, 1]), ([2], [2])]
>>> L(D.range(3).flat_map(lambda x: D.range(x))), C(D.range(3).flat_map(lambda x: D.range(x)))
([0, 0, 1], -2)
>>> [L(D.range(4).interleave(lambda x: D.range(x), c, b)) for c in (1, 2, 3, 5) for b in (1, 2, 3)]
[[0, 0, 1, 0, 1, 2], [0, 0, 1, 0, 1, 2], [0, 0, 1, 0, 1, 2], [0, 0, 1, 0, 1, 2], [0, 0, 1, 0, 1,
2], [0, 0, 1, 0, 1, 2], [0, 0, 0, 1, 1, 2], [0, 0, 1, 0, 1, 2], [0, 0, 1, 0, 1, 2], [0, 0, 0, 1,
1, 2], [0, 0, 1, 0, 1, 2], [0, 0, 1, 0, 1, 2]]
>>> L(D.range(5).apply(lambda d: d.take(1)))
[0]
>>> L(D.range(5).cache().prefetch(-1).with_options(Options()))
[0, 1, 2, 3, 4]
>>> [type(x).__name__ for x in next(D.zip(D.range(5), D.range(5).batch(1)).as_numpy_iterator())]
['int64', 'ndarray']
>>> next(D.range(5).batch(2).as_numpy_iterator()).flags.writeable
False
>>> D.range(1).get_single_element().numpy()
np.int64(0)
>>> bool(D.range(0)), len(D.range(3))
(True, 3)
>>> [e.dtype.name for e in G(lambda: iter([np.ones(2), [1, 2], 3]), 'float32')]
['float32', 'float32', 'float32']
>>> C(G(lambda: iter([1, 2]), 'int32'))
-2
>>> G(lambda: [(1, [2])], ('int32', 'float32'), ((), (None,))).element_spec
(TensorSpec(shape=(), dtype=tf.int32, name=None), TensorSpec(shape=(None,), dtype=tf.float32,
name=None))
>>> L(G(lambda: [(1, [2])], ('int32', 'float32'), ((), (None,))))
[(1, [2.0])]
>>> L(G(lambda n: iter(range(n)), 'int64', args=(3,)))
[0, 1, 2]
>>> L(G(lambda: [{'a': 1, 'b': [1, 2]}], output_signature={'a': TS((), 'int32'), 'b': TS((2,))}))
[{'a': 1, 'b': [1.0, 2.0]}]
>>> L(G(lambda: iter([[1, 2], [3, 4]]), output_signature=TS((None,), 'uint8')).batch(2))
[[[1, 2], [3, 4]]]
"""


def run_examples(names):
    exec(SETUP, names)
    flags = doctest.NORMALIZE_WHITESPACE
    test = doctest.DocTestParser().get_doctest(EXAMPLES, names, "examples", None, None)
    runner = doctest.DocTestRunner(optionflags=flags, verbose=False)
    return runner.run(test).failed


def test_examples():
    assert run_examples({"data": data, "TS": TensorSpec}) == 0


def test_examples_are_what_tensorflow_prints(oracle):
    program = textwrap.dedent("""
        import doctest, json, sys
        import tensorflow as tf
        SETUP, EXAMPLES = json.load(sys.stdin)
        names = {"data": tf.data, "TS": lambda shape, dtype="float32": tf.TensorSpec(shape, dtype)}
        exec(SETUP, names)
        test = doctest.DocTestParser().get_doctest(EXAMPLES, names, "examples", None, None)
        sys.exit(doctest.DocTestRunner(None, False, doctest.NORMALIZE_WHITESPACE).run(test).failed)
    """)
    result = subprocess.run(
        [oracle, "-c", program],
        input=json.dumps([SETUP, EXAMPLES]),
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr


def numbers(dataset):
    return [np.asarray(element).tolist() for element in dataset.as_numpy_iterator()]


# Elements.


def test_elements_are_tensors_that_keep_their_structure():
    element = next(iter(D.from_tensor_slices({"x": [[1.0, 2.0]], "y": ([1], [True])})))
    assert isinstance(element["x"], EagerTensor) and element["x"].shape == (2,)
    assert [type(part) for part in element["y"]] == [EagerTensor, EagerTensor]
    assert element["y"][0].dtype == "int32" and element["y"][1].dtype == "bool"


def test_a_data_set_is_iterated_more_than_once_and_twice_at_a_time():
    dataset = D.zip((D.from_tensor_slices([[5.0, 2.0], [3.0, 3.0]]), D.from_tensor_slices([1, 2])))
    assert [int(y) for _, y in dataset] == [int(y) for _, y in dataset] == [1, 2]
    assert [(int(a[1]), int(b[1])) for a in dataset for b in dataset] == [
        (1, 1), (1, 2), (2, 1), (2, 2),
    ]  # fmt: skip


def test_later_changes_of_an_array_are_not_seen():
    array = np.arange(4)
    dataset = D.from_tensor_slices(array)
    array[:] = 0
    assert numbers(dataset) == [0, 1, 2, 3]


def test_variables_and_tensors_are_taken():
    dataset = D.from_tensor_slices((Variable([1.0, 2.0]), EagerTensor(np.arange(2))))
    assert numbers(dataset.map(lambda a, b: a * 2 + b)) == [2, 5]


def test_representation():
    assert repr(D.range(3)) == (
        "<Dataset element_spec=TensorSpec(shape=(), dtype=tf.int64, name=None)>"
    )
    assert repr(D.range(3).map(lambda x: x)) == "<Dataset element_spec=found when asked for>"


def test_cardinality_is_an_int64_tensor():
    assert repr(D.range(5).cardinality()) == "<tf.Tensor: shape=(), dtype=int64, numpy=5>"
    assert (D.range(5).repeat().cardinality() == data.INFINITE_CARDINALITY).numpy()
    assert (data.INFINITE_CARDINALITY, data.UNKNOWN_CARDINALITY, data.AUTOTUNE) == (-1, -2, -1)


# Order.


def test_shuffle_yields_every_element_once():
    for size in (1, 3, 100, 1000, data.UNKNOWN_CARDINALITY):
        assert sorted(numbers(D.range(100).shuffle(size))) == list(range(100))
    assert numbers(D.range(100).shuffle(1)) == list(range(100))
    assert numbers(D.range(0).shuffle(5)) == []


def test_shuffle_draws_no_further_ahead_than_its_buffer():
    order = numbers(D.range(2000).shuffle(10, seed=3))
    assert max(element - place for place, element in enumerate(order)) == 9
    assert order != sorted(order)


def test_a_seed_fixes_all_orders():
    first, second = (D.range(50).shuffle(50, seed=7) for _ in range(2))
    orders = [numbers(first) for _ in range(3)]
    assert orders == [numbers(second) for _ in range(3)]
    assert len({tuple(order) for order in orders}) == 3
    # Written down so that no release changes the order of a run that is to be repeated.
    assert numbers(D.range(8).shuffle(8, seed=7)) == [4, 1, 6, 3, 2, 7, 5, 0]
    assert numbers(D.range(8).shuffle(3, seed=7)) == [2, 0, 3, 1, 6, 7, 4, 5]


def test_without_a_seed_python_random_decides():
    import random

    orders = []
    for _ in range(2):
        random.seed(5)
        orders.append(numbers(D.range(50).shuffle(50)))
    assert orders[0] == orders[1] != numbers(D.range(50).shuffle(50))


def test_repeat_shuffles_anew_unless_told_not_to():
    twice = numbers(D.range(20).shuffle(20, seed=1).repeat(2))
    assert sorted(twice[:20]) == sorted(twice[20:]) and twice[:20] != twice[20:]
    same = D.range(20).shuffle(20, seed=1, reshuffle_each_iteration=False)
    twice = numbers(same.repeat(2))
    assert twice[:20] == twice[20:] == numbers(same)


def test_shuffle_is_uniform():
    counts = np.zeros((4, 4))
    dataset = D.range(4).shuffle(4, seed=0)
    for _ in range(600):
        counts[numbers(dataset), range(4)] += 1
    # 15 expected standard deviations would be 150 +- 10.6 each; 5 of them is no accident.
    assert abs(counts - 150).max() < 53


def test_asking_for_the_spec_changes_no_order():
    one, two = (D.range(9).shuffle(9, seed=2).map(lambda x: x + 1).batch(2) for _ in range(2))
    assert one.element_spec == TensorSpec((None,), "int64")
    assert [x.tolist() for x in one.as_numpy_iterator()] == [
        x.tolist() for x in two.as_numpy_iterator()
    ]


def test_cache_keeps_the_first_complete_pass():
    calls = []
    dataset = D.range(3).map(lambda x: calls.append(int(x)) or x).shuffle(3, seed=4).cache()
    next(iter(dataset))
    assert len(calls) == 3
    first = numbers(dataset)
    assert numbers(dataset) == first and len(calls) == 6


STEPS = st.one_of(
    st.tuples(st.just("shuffle"), st.integers(1, 12), st.integers(0, 3)),
    st.tuples(st.sampled_from(["take", "skip"]), st.integers(-1, 12)),
    st.tuples(st.just("repeat"), st.integers(0, 3)),
    st.tuples(st.just("shard"), st.just(2), st.integers(0, 1)),
    st.tuples(st.sampled_from(["cache"])),
)


@given(st.lists(STEPS, max_size=4), st.integers(1, 5), st.booleans())
def test_batches_cut_out_of_arrays_equal_stacked_elements(steps, size, drop_remainder):
    x, y = np.arange(20.0).reshape(10, 2), np.arange(10)
    fast = D.from_tensor_slices({"x": x, "y": y})
    slow = fast.map(lambda element: element)
    assert fast.rows is not None and slow.rows is None
    for name, *arguments in steps:
        fast, slow = (getattr(d, name)(*arguments) for d in (fast, slow))
    assert fast.length == slow.length
    fast, slow = (d.batch(size, drop_remainder) for d in (fast, slow))
    assert fast.element_spec == slow.element_spec
    for _ in range(2):
        pairs = list(zip(fast, slow, strict=True))
        assert len(pairs) == len(fast)
        for a, b in pairs:
            np.testing.assert_array_equal(a["x"], b["x"])
            np.testing.assert_array_equal(a["y"], b["y"])
            assert a["x"].dtype == b["x"].dtype and a["y"].dtype == b["y"].dtype


def test_batches_in_order_are_views():
    dataset = D.from_tensor_slices(np.arange(10))
    assert np.shares_memory(next(dataset.batch(3).elements()), dataset.rows)


# Functions.


def test_random_variables_do_not_notice_the_search_for_a_spec():
    state = Variable(0, dtype="int64")
    dataset = D.range(3).map(lambda x: x + state.assign_add(1).value)
    assert dataset.element_spec == TensorSpec((), "int64")
    assert state.numpy() == 0
    assert numbers(dataset) == [1, 3, 5]


def test_tapes_do_not_record_map():
    x = Variable(3.0)
    with GradientTape() as tape:
        (y,) = D.from_tensors([2.0]).map(lambda element: element * x)
        z = y * x
    assert float(tape.gradient(z, x)) == 6.0  # not 12: y is data


def test_an_error_in_a_function_comes_through():
    with pytest.raises(ZeroDivisionError):
        list(D.range(3).map(lambda x: 1 // 0))

    def broken():
        yield 1
        raise KeyError("at step 1")

    steps = iter(D.from_generator(broken, "int32"))
    assert int(next(steps)) == 1
    with pytest.raises(KeyError, match="at step 1"):
        next(steps)


def test_generators_begin_anew_and_see_arrays():
    seen = []

    def generator(values, scale):
        seen.append((type(values), values.dtype, type(scale)))
        yield from values * scale

    dataset = D.from_generator(generator, "float32", (), args=([1.0, 2.0], 3))
    assert numbers(dataset) == numbers(dataset) == [3.0, 6.0]
    assert seen == [(np.ndarray, np.float32, np.int32)] * 2


def test_options_of_any_name_are_accepted():
    options = data.Options()
    options.experimental_distribute.auto_shard_policy = 1
    options.deterministic = True
    assert D.range(2).with_options(options).options() is options


def test_no_threads_and_no_cycles():
    before = threading.active_count()
    while gc.collect():  # what earlier tests left goes in several rounds
        pass
    gc.disable()
    try:
        dataset = D.from_tensor_slices(np.arange(30)).shuffle(9).map(lambda x: (x, x)).batch(4)
        dataset = D.zip((dataset, dataset)).repeat(2).prefetch(2).cache().enumerate()
        assert len(list(dataset)) == 16
        assert dataset.element_spec
        del dataset
        assert gc.collect() == 0
    finally:
        gc.enable()
    assert threading.active_count() == before


# Errors.


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: D.from_tensor_slices(3), ValueError, "at least one axis, got a scalar"),
        (lambda: D.from_tensor_slices({"a": [1], "b": 2}), ValueError, r"a scalar at \['b'\]"),
        (lambda: D.from_tensor_slices(D.range(3)), ValueError, "got a data set"),
        (
            lambda: D.from_tensor_slices(([1, 2, 3], {"k": [1]})),
            ValueError,
            r"first axes of one length, got 3 at \[0\] and 1 at \[1, 'k'\]",
        ),
        (lambda: D.from_tensor_slices(()), ValueError, "expected at least one tensor, got none"),
        (lambda: D.from_tensor_slices([[1], [1, 2]]), ValueError, "regular array"),
        (lambda: D.from_tensor_slices(["a"]), ValueError, "expected numbers or truth values"),
        (D.range, ValueError, "Dataset.range: expected 1 to 3 numbers, got 0"),
        (lambda: D.range(1, 5, 0), ValueError, "must not be zero"),
        (D.zip, TypeError, "Dataset.zip: expected at least one data set, got none"),
        (lambda: D.zip((D.range(1), 3)), TypeError, "expected a structure of data sets, got 3"),
        (lambda: D.range(5).batch(0), ValueError, "batch_size of at least 1, got 0"),
        (lambda: D.range(5).batch(2.5), TypeError, "a whole number as batch_size, got 2.5"),
        (lambda: D.range(5).take(None), TypeError, "a whole number as count, got None"),
        (lambda: D.range(5).shuffle(0), ValueError, "buffer_size of at least 1, got 0"),
        (lambda: D.range(5).prefetch(-5), ValueError, "buffer_size of at least -1, got -5"),
        (lambda: D.range(5).window(0), ValueError, "size of at least 1, got 0"),
        (lambda: D.range(5).shard(2, 3), ValueError, "expected an index below 2, got 3"),
        (lambda: D.range(5).cache("file"), ValueError, "expected no file name, got 'file'"),
        (lambda: D.range(5).apply(lambda d: 3), TypeError, "expected a data set back, got 3"),
        (lambda: D.range(5).unbatch(), ValueError, "components with at least one axis, got Tens"),
        (
            lambda: D.range(5).concatenate(D.from_tensors(1.0)),
            TypeError,
            "Dataset.concatenate: expected elements of one kind, got TensorSpec",
        ),
        (
            lambda: D.range(5).concatenate(D.zip((D.range(5), D.range(5)))),
            TypeError,
            "Dataset.concatenate: expected elements of one kind, got TensorSpec",
        ),
        (lambda: len(D.range(5).repeat()), TypeError, "The dataset is infinite"),
        (lambda: len(D.range(5).filter(bool)), TypeError, "The dataset length is unknown"),
        (lambda: D.range(2).get_single_element(), ValueError, "expected one element, got more"),
        (lambda: D.range(0).get_single_element(), ValueError, "expected one element, got none"),
        (lambda: D.from_generator([1], "int32"), TypeError, "got list. Write lambda: generator"),
        (lambda: D.from_generator(lambda: [1]), TypeError, "or output_types, got neither"),
        (
            lambda: D.from_generator(list, "int32", output_signature=TensorSpec(())),
            TypeError,
            "expected output_signature alone",
        ),
        (
            lambda: D.from_generator(list, output_signature="int32"),
            TypeError,
            "expected output_signature of TensorSpecs, got 'int32'",
        ),
        (
            lambda: D.from_generator(list, "int32").map(abs).element_spec,
            ValueError,
            "Dataset.map: expected elements of known shape .* output_signature",
        ),
    ],
)
def test_wrong_arguments(make, error, message):
    with pytest.raises(error, match=message):
        make()


@pytest.mark.parametrize(
    ("dataset", "error", "message"),
    [
        (D.range(5).flat_map(lambda x: x), TypeError, "a function that returns a data set, got"),
        (D.range(5).map(lambda x: None), ValueError, "got NoneType: None"),
        (
            D.range(1, 5).flat_map(lambda x: D.range(x).batch(9)).batch(2),
            ValueError,
            r"elements of one shape and dtype, got \(1,\) int64 and \(2,\) int64.*Pad or cast",
        ),
        (D.range(5).window(2).batch(2), TypeError, r"Use flat_map\(lambda window"),
        (
            D.from_tensors((np.ones(2), np.ones(3))).unbatch(),
            ValueError,
            r"components with one first axis, got shapes \[\(2,\), \(3,\)\]",
        ),
        (D.range(5).map(lambda x: x).unbatch(), ValueError, r"one first axis, got shapes \[\(\)\]"),
    ],
)
def test_wrong_elements(dataset, error, message):
    with pytest.raises(error, match=message):
        list(dataset)


PAIR = (TensorSpec((), "int32"), TensorSpec((), "int32"))


@pytest.mark.parametrize(
    ("signature", "value", "message"),
    [
        (TensorSpec((2,), "int32"), [1, 2, 3], r"shape=\(2,\).*got list: \[1, 2, 3\]"),
        (TensorSpec((2, None)), np.ones(2), r"shape=\(2, None\).* got ndarray of shape \(2,\)"),
        (TensorSpec((), "int32"), 1.5, "got float: 1.5"),
        (TensorSpec((), "int32"), "one", "got str: one"),
        (PAIR, (1, 2, 3), r"got tuple: \(1, 2, 3\)"),
        (PAIR, [1, 2], r"got list: \[1, 2\]"),
        ({"a": PAIR[0]}, {"b": 1}, "got dict: {'b': 1}"),
    ],
)
def test_generators_that_yield_something_else(signature, value, message):
    dataset = D.from_generator(lambda: [value], output_signature=signature)
    with pytest.raises(TypeError, match=f"expected the generator to yield .*{message}"):
        list(dataset)


def test_generators_may_yield_namedtuples():
    class pair(NamedTuple):
        a: object
        b: object

    signature = pair(TensorSpec((), "int32"), TensorSpec((1,)))
    (element,) = D.from_generator(lambda: [(1, [2])], output_signature=signature)
    assert type(element) is pair and operator.index(element.a) == 1

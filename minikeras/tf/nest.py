"""`tf.nest`: the walk over nested structures."""

from minikeras.tree import assert_same_structure as assert_same_structure
from minikeras.tree import flatten as flatten
from minikeras.tree import is_nested as is_nested
from minikeras.tree import map_structure as map_structure
from minikeras.tree import pack_sequence_as as pack_sequence_as

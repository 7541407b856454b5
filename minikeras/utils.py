"""`keras.utils`: names that Keras users look for here; all of it lives elsewhere."""

from minikeras.backend import clear_session as clear_session
from minikeras.backend import is_keras_tensor as is_keras_tensor
from minikeras.backend import standardize_dtype as standardize_dtype
from minikeras.core.check import check_gradients as check_gradients
from minikeras.data.labels import normalize as normalize
from minikeras.data.labels import to_categorical as to_categorical
from minikeras.data.sequence import PyDataset as PyDataset
from minikeras.models.batches import pack_x_y_sample_weight as pack_x_y_sample_weight
from minikeras.models.batches import unpack_x_y_sample_weight as unpack_x_y_sample_weight
from minikeras.random import set_random_seed as set_random_seed
from minikeras.registry import CustomObjectScope as CustomObjectScope
from minikeras.registry import custom_object_scope as custom_object_scope
from minikeras.registry import deserialize_keras_object as deserialize_keras_object
from minikeras.registry import get_custom_objects as get_custom_objects
from minikeras.registry import get_registered_name as get_registered_name
from minikeras.registry import get_registered_object as get_registered_object
from minikeras.registry import register_keras_serializable as register_keras_serializable
from minikeras.registry import serialize_keras_object as serialize_keras_object

Sequence = PyDataset

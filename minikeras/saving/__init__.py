"""Saving and loading, and the registry of what may be named in saved configs."""

from minikeras.registry import CustomObjectScope as CustomObjectScope
from minikeras.registry import custom_object_scope as custom_object_scope
from minikeras.registry import deserialize_keras_object as deserialize_keras_object
from minikeras.registry import get_custom_objects as get_custom_objects
from minikeras.registry import get_registered_name as get_registered_name
from minikeras.registry import get_registered_object as get_registered_object
from minikeras.registry import register_keras_serializable as register_keras_serializable
from minikeras.registry import serialize_keras_object as serialize_keras_object
from minikeras.saving.weights import load_weights as load_weights
from minikeras.saving.weights import save_weights as save_weights

"""`tf.function`, which is `minikeras.function`."""

from minikeras.compiler.tracing.function import function as function
from minikeras.compiler.tracing.function import functions_run_eagerly as functions_run_eagerly
from minikeras.compiler.tracing.function import run_functions_eagerly as run_functions_eagerly

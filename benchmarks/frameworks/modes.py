"""The modes in which each framework runs the jobs; the first of a job is what others compare to."""

from typing import NamedTuple

TRAIN = "mlp mlp32 cnn wide"
LOOPS = f"{TRAIN} tutorial_mnist"
ONE = "one_mlp one_cnn"
START = "start_mlp start_cnn compile_cnn"
ONEDNN, PLAIN = {"TF_ENABLE_ONEDNN_OPTS": "1"}, {"TF_ENABLE_ONEDNN_OPTS": "0"}
ON_TF, ON_TORCH, ON_JAX = ({"KERAS_BACKEND": name} for name in ("tensorflow", "torch", "jax"))


class Mode(NamedTuple):
    """A way to run jobs.

    Args:
        who: whose interpreter runs it.
        label: what the table calls it.
        module: the file of this folder that does it.
        how: what that file calls it.
        jobs: names of jobs, in one string.
        env: environment of the process.
        cold: whether each process begins with an empty cache of compiled code.
    """

    who: str
    label: str
    module: str
    how: str
    jobs: str
    env: dict = {}
    cold: bool = False

    @property
    def name(self):
        """How the table and `--rivals` call it."""
        return f"{self.who}: {self.label}"


MODES = [
    Mode("minikeras", "fit", "keras_api", "fit", TRAIN),
    Mode("minikeras", "@function loop", "keras_api", "function", f"{LOOPS} scalar"),
    Mode("minikeras", "eager loop", "keras_api", "eager", f"{LOOPS} scalar"),
    Mode("minikeras", "fori_loop", "keras_api", "loop", "scalar_loop"),
    Mode("minikeras", "predict", "keras_api", "predict", "predict_cnn"),
    Mode("minikeras", "predict, best batch", "keras_api", "best", "predict_cnn"),
    Mode("minikeras", "model(x)", "keras_api", "call", ONE),
    Mode("minikeras", "@function", "keras_api", "call_function", ONE),
    Mode("minikeras", "predict_on_batch", "keras_api", "on_batch", ONE),
    Mode("minikeras", "fit, cold", "keras_api", "fit", "start_mlp", cold=True),
    Mode("minikeras", "fit, cached", "keras_api", "fit", "start_mlp"),
    Mode("minikeras", "three steps, cold", "keras_api", "three", "start_cnn", cold=True),
    Mode("minikeras", "three steps, cached", "keras_api", "three", "start_cnn"),
    Mode("minikeras", "three steps, cold", "keras_api", "three", "compile_cnn", cold=True),
    Mode("minikeras", "three steps, cached", "keras_api", "three", "compile_cnn"),
    Mode("numpy", "by hand", "on_numpy", "by hand", "mlp mlp32 wide scalar one_mlp start_mlp"),
    Mode("tensorflow", "Keras fit", "keras_api", "fit", f"{TRAIN} start_mlp", ON_TF | PLAIN),
    Mode("tensorflow", "Keras fit, oneDNN", "keras_api", "fit", TRAIN, ON_TF | ONEDNN),
    Mode("tensorflow", "eager loop", "keras_api", "eager", f"{LOOPS} scalar", ON_TF),
    Mode("tensorflow", "@function loop", "keras_api", "function", f"{LOOPS} scalar", ON_TF),
    Mode("tensorflow", "XLA loop", "keras_api", "xla", f"{TRAIN} scalar", ON_TF),
    Mode("tensorflow", "predict", "keras_api", "predict", "predict_cnn", ON_TF | PLAIN),
    Mode("tensorflow", "predict, oneDNN", "keras_api", "predict", "predict_cnn", ON_TF | ONEDNN),
    Mode("tensorflow", "predict, best batch", "keras_api", "best", "predict_cnn", ON_TF | ONEDNN),
    Mode("tensorflow", "model(x)", "keras_api", "call", ONE, ON_TF),
    Mode("tensorflow", "@function", "keras_api", "call_function", ONE, ON_TF),
    Mode("tensorflow", "three steps", "keras_api", "three", "start_cnn compile_cnn", ON_TF),
    Mode("torch", "Keras fit", "keras_api", "fit", f"{TRAIN} start_mlp", ON_TORCH),
    Mode("torch", "eager", "on_torch", "eager", f"{LOOPS} scalar start_mlp"),
    Mode("torch", "fused Adam", "on_torch", "fused", LOOPS),
    Mode("torch", "channels_last", "on_torch", "channels_last", "cnn tutorial_mnist"),
    Mode("torch", "compile", "on_torch", "compile", LOOPS),
    Mode("torch", "Keras predict", "keras_api", "predict", "predict_cnn", ON_TORCH),
    Mode("torch", "eager", "on_torch", "predict", f"predict_cnn {ONE}"),
    Mode("torch", "compile", "on_torch", "predict_compile", f"predict_cnn {ONE}"),
    Mode("torch", "compile, best batch", "on_torch", "best", "predict_cnn"),
    Mode("torch", "Keras model(x)", "keras_api", "call", ONE, ON_TORCH),
    Mode("torch", "Keras three steps", "keras_api", "three", "start_cnn compile_cnn", ON_TORCH),
    Mode("jax", "Keras fit", "keras_api", "fit", f"{TRAIN} start_mlp", ON_JAX),
    Mode("jax", "jit a step", "on_jax", "step", f"{TRAIN} scalar start_mlp"),
    Mode("jax", "jit the loop", "on_jax", "loop", "mlp mlp32 wide scalar_loop"),
    Mode("jax", "Keras predict", "keras_api", "predict", "predict_cnn", ON_JAX),
    Mode("jax", "jit", "on_jax", "predict", f"predict_cnn {ONE}"),
    Mode("jax", "jit, best batch", "on_jax", "best", "predict_cnn"),
    Mode("jax", "Keras model(x)", "keras_api", "call", ONE, ON_JAX),
    Mode("jax", "Keras three steps", "keras_api", "three", "start_cnn compile_cnn", ON_JAX),
]


def modes_of(job):
    """Return the modes of a job by name."""
    return {mode.name: mode for mode in MODES if job in mode.jobs.split()}

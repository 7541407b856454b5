"""Follow training and act on it: stop early, save, log, change the learning rate."""

from minikeras.callbacks.base import Callback, History, LambdaCallback
from minikeras.callbacks.checkpoint import ModelCheckpoint
from minikeras.callbacks.container import CallbackList
from minikeras.callbacks.loggers import CSVLogger, TerminateOnNaN
from minikeras.callbacks.monitors import EarlyStopping, MonitorCallback, ReduceLROnPlateau
from minikeras.callbacks.progress import ProgbarLogger
from minikeras.callbacks.schedules import LearningRateScheduler

__all__ = [
    "CSVLogger",
    "Callback",
    "CallbackList",
    "EarlyStopping",
    "History",
    "LambdaCallback",
    "LearningRateScheduler",
    "ModelCheckpoint",
    "MonitorCallback",
    "ProgbarLogger",
    "ReduceLROnPlateau",
    "TerminateOnNaN",
]

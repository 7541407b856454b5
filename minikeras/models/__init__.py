"""Models: layers put together, trained, evaluated and saved."""

from minikeras.models.model import Model as Model
from minikeras.models.sequential import Sequential as Sequential

"""Run jobs with PyTorch."""

import shutil

import torch
from frameworks.jobs import after, batches, data, fingerprint, looped, weights
from frameworks.timing import SkipError, fastest
from linear_regression_job import torch_step
from torch import nn
from torch.nn import functional


def prepare(job, mode):
    """Return `run(steps)`, which gives a loss, or a fingerprint of outputs."""
    if "compile" in mode.how and not any(map(shutil.which, ("c++", "g++", "clang++"))):
        raise SkipError("torch.compile needs a C++ compiler")
    if not job.layers:
        return _regression()
    if job.trains:
        return _train(job, mode.how)
    if mode.how == "best":
        return fastest([_predict(job, size, "compile") for size in (64, 128, 256, 512)], job.steps)
    return _predict(job, job.batch, mode.how) if job.batch > 1 else _call(job, mode.how)


def build(job, how):
    """Return the model with the job's first weights; it gives logits."""
    arrays, layers, shape, seen = iter(weights(job)), [], job.shape, None
    for number, (kind, *args) in enumerate(job.layers):
        if kind in {"conv", "dense"}:
            kernel, bias = next(arrays), next(arrays)
            layers.append(_weighted(kernel, bias, seen))
            seen = None
            if number < len(job.layers) - 1:
                layers.append(nn.ReLU())
        elif kind == "pool":
            layers.append(nn.MaxPool2d(2))
        elif kind == "flatten":
            layers.append(nn.Flatten())
            seen = shape
        else:
            layers.append(nn.Dropout(*args))
        shape = after(shape, kind, *args)
    model = nn.Sequential(*layers)
    return model.to(memory_format=torch.channels_last) if how == "channels_last" else model


def _weighted(kernel, bias, flattened):
    """Return a layer with weights in Keras' layout; `flattened` is the image before, if any."""
    if kernel.ndim == 4:
        layer = nn.Conv2d(kernel.shape[2], kernel.shape[3], 3)
        kernel = kernel.transpose(3, 2, 0, 1)
    else:
        layer = nn.Linear(*kernel.shape)
        if flattened:  # the order of pixels and channels
            kernel = kernel.reshape(*flattened, -1).transpose(2, 0, 1, 3).reshape(kernel.shape)
        kernel = kernel.T
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(kernel.copy()))
        layer.bias.copy_(torch.from_numpy(bias))
    return layer


def to_tensor(job, how):
    """Return what makes a tensor of an array: images with the channel in front."""

    def convert(array):
        tensor = torch.from_numpy(array)
        if array.shape[1:] == job.shape and array.ndim == 4:
            tensor = tensor.permute(0, 3, 1, 2)
            return tensor if how == "channels_last" else tensor.contiguous()
        return tensor

    return convert


def trainer(job, how):
    """Return the model and `step(x, y)`, which gives the loss."""
    model = build(job, how)
    optimizer = torch.optim.Adam(
        model.parameters(), job.learning_rate, eps=1e-7, fused=how in {"fused", "compile"} or None
    )
    forward = torch.compile(model) if how == "compile" else model
    reduction = "sum" if job.summed else "mean"

    def step(x, y):
        loss = functional.cross_entropy(forward(x), y, reduction=reduction)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    return model, step


def _train(job, how):
    _, step = trainer(job, how)
    pairs = batches(job, to_tensor(job, how))

    def run(steps):
        for x, y in looped(pairs, steps):
            loss = step(x, y)
        return loss.item() / (job.batch if job.summed else 1)

    return run


def _regression():
    step = torch_step()

    def run(steps):
        for _ in range(steps):
            loss = step()
        return loss.item()

    return run


def _forward(job, how):
    model = build(job, how).eval()
    whole = nn.Sequential(*model, nn.Softmax(1)) if job.softmax else model
    return torch.compile(whole) if "compile" in how else whole


def _predict(job, size, how):
    forward = _forward(job, how)
    x = to_tensor(job, how)(data(job)[0])

    def run(steps):
        rows = x[: steps * job.batch]
        with torch.inference_mode():
            outputs = torch.cat([forward(batch) for batch in rows.split(size)])
        return fingerprint(outputs.numpy())

    return run


def _call(job, how):
    forward = _forward(job, how)
    x = to_tensor(job, how)(data(job)[0][:1])

    def run(steps):
        with torch.inference_mode():
            for _ in range(steps):
                outputs = forward(x)
        return fingerprint(outputs.numpy())

    return run

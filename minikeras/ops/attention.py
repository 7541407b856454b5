"""Compute attention."""

import math
from typing import Any

import numpy as np

from minikeras.core.basic import astype, floating, numpy_dtype
from minikeras.ops.activations import _softmax
from minikeras.ops.creation import tri
from minikeras.ops.define import composite
from minikeras.ops.elementwise import tanh, where
from minikeras.ops.normalization import wide
from minikeras.ops.products import einsum
from minikeras.ops.repeating import repeat


def _heads(query: Any, key: Any, value: Any) -> tuple[Any, Any, Any]:
    """Promote, check, and repeat the heads of key and value that several query heads share."""
    query, key, value = floating([query, key, value])
    shapes = [tuple(tensor.shape) for tensor in (query, key, value)]
    if any(len(shape) != 4 for shape in shapes) or query.shape[2] % key.shape[2]:
        raise ValueError(
            "dot_product_attention: expected query (batch, queries, heads, size), key and value "
            "(batch, keys, heads, size), with as many heads in query as in key or a multiple, got "
            f"shapes {shapes}."
        )
    share = query.shape[2] // key.shape[2]
    if share > 1:
        key, value = repeat(key, share, axis=2), repeat(value, share, axis=2)
    return query, key, value


@composite
def dot_product_attention(
    query: Any,
    key: Any,
    value: Any,
    bias: Any = None,
    mask: Any = None,
    scale: float | None = None,
    is_causal: bool = False,
    flash_attention: bool | None = None,
    attn_logits_soft_cap: float | None = None,
) -> Any:
    """Average `value` by how well each key fits a query: `softmax(query @ key.T * scale) @ value`.

    Vaswani et al. 2017, arXiv:1706.03762.

    Args:
        query: shape (batch, queries, heads, size).
        key: shape (batch, keys, heads, size); heads may be fewer, each for several of `query`.
        value: shape (batch, keys, heads, size).
        bias: added to the products; broadcasts to (batch, heads, queries, keys).
        mask: False where a query must not see a key; broadcasts likewise.
        scale: by default `1 / sqrt(size)`.
        is_causal: whether query i sees the keys up to i only.
        flash_attention: not available; None or False.
        attn_logits_soft_cap: products are limited to this size by tanh.
    """
    if flash_attention:
        raise ValueError("dot_product_attention: expected flash_attention=False, got True.")
    query, key, value = _heads(query, key, value)
    scale = 1 / math.sqrt(query.shape[-1]) if scale is None else scale
    fits, dtype = wide(einsum("btnh,bsnh->bnts", query, key))
    fits = fits * scale
    if attn_logits_soft_cap is not None:
        fits = attn_logits_soft_cap * tanh(fits / attn_logits_soft_cap)
    if bias is not None:
        fits = fits + bias
    # Not -inf, so that a query which sees nothing gets an average and not NaN.
    hidden = -0.7 * float(np.finfo(numpy_dtype(fits)).max)
    if is_causal:
        fits = where(tri(fits.shape[2], fits.shape[3], dtype="bool"), fits, hidden)
    if mask is not None:
        fits = where(mask, fits, hidden)
    weights = astype(_softmax(fits, axis=(3,)), dtype)
    return einsum("bnts,bsnh->btnh", weights, value)

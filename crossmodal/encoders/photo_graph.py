"""The towers of the `photos` weights as OpenVINO networks, built without torch.

They compute the same functions as `photo_model.PhotoModel`, which training uses: `image_network` is `encode_image` with
the scaling of pixels, and `text_network` is `encode_text`.
"""

from __future__ import annotations

import math
from typing import Any, TypeAlias

import numpy as np

from crossmodal.encoders.lite_shape import block_shapes
from crossmodal.encoders.photos import CAPTION_GAIN, GATE_GAIN, LEAST_SHARE, PhotoShape, StoredWeights, TextShape
from crossmodal.engines.openvino_offline import openvino, ops

Node: TypeAlias = Any

TEXT = TextShape()
LAYER_NORM_EPSILON, L2_EPSILON = 1e-12, 1e-12
MASKED = -1e9
"""Added to the attention of padding."""


def image_network(weights: StoredWeights, shape: PhotoShape) -> openvino.Model:
    """The network from pixels (n, size_px, size_px, 3) uint8 to unit vectors (n, dim)."""
    return _ImageTower(weights, shape).network()


def features_network(weights: StoredWeights, shape: PhotoShape) -> openvino.Model:
    """The network from pixels, as `image_network` takes them, to the features (n, 1280) of the image tower."""
    return _ImageTower(weights, shape).features_network()


def text_network(weights: StoredWeights, shape: PhotoShape) -> openvino.Model:
    """The network from token ids (n, length) int32, 0 for padding, to unit vectors (n, dim)."""
    return _TextTower(weights, shape).network()


class _Tower:
    def __init__(self, weights: StoredWeights, shape: PhotoShape) -> None:
        self._weights, self._shape = weights, shape

    def linear(self, x: Node, name: str) -> Node:
        """(..., n_in) to (..., n_out)."""
        weight, bias = self._weights[f"{name}.weight"], self._weights[f"{name}.bias"]
        return ops.add(_named(ops.matmul(x, _constant(weight), False, True), name), _constant(bias))

    def head(self, x: Node, name: str) -> Node:
        """Two linear layers with GELU between them."""
        return self.linear(ops.gelu(self.linear(x, f"{name}.layers.0"), "erf"), f"{name}.layers.1")


class _ImageTower(_Tower):
    def network(self) -> openvino.Model:
        shape, pixels = self._shape, self._pixels()
        features = self._features(pixels)
        logits = ops.divide(self.linear(features, "image_tower.classifier"), _constant(shape.class_temperature))
        parts = (
            self.head(features, "image_head"),
            ops.matmul(ops.softmax(logits, 1), _constant(self._weights["class_vectors"]), False, False),
            self.linear(features, "feature_projection"),
        )
        shares = (_constant(math.sqrt(share)) for share in shape.image_parts)
        weighted = [ops.multiply(_normalised(part), share) for part, share in zip(parts, shares, strict=True)]
        return openvino.Model([ops.concat(weighted, 1)], [pixels], "photos-image")

    def features_network(self) -> openvino.Model:
        pixels = self._pixels()
        return openvino.Model([self._features(pixels)], [pixels], "photos-features")

    def _pixels(self) -> Node:
        return ops.parameter([-1, self._shape.size_px, self._shape.size_px, 3], openvino.Type.u8, name="pixels")

    def _features(self, x: Node) -> Node:
        """Pixels to (n, LITE_FEATURES)."""
        x = ops.divide(ops.subtract(ops.convert(x, "f32"), _constant(127.0)), _constant(128.0))
        x = ops.transpose(x, ops.constant([0, 3, 1, 2]))
        x = self._convolution(x, "image_tower.stem", stride=2)
        for number, block in enumerate(block_shapes(self._shape.variant)):
            name = f"image_tower.blocks.{number}"
            y = self._convolution(x, f"{name}.expand") if block.expansion > 1 else x
            y = self._convolution(y, f"{name}.depthwise", stride=block.stride, is_depthwise=True)
            y = self._convolution(y, f"{name}.project", clip=False)
            x = ops.add(x, y) if block.is_residual else y
        return ops.reduce_mean(self._convolution(x, "image_tower.head"), ops.constant([2, 3]), False)

    def _convolution(
        self, x: Node, name: str, *, stride: int = 1, is_depthwise: bool = False, clip: bool = True
    ) -> Node:
        """As `photo_towers.Convolution`: padded as TensorFlow does, with ReLU6 if `clip`."""
        weight, bias = self._weights[f"{name}.weight"], self._weights[f"{name}.bias"]
        strides, none = [stride, stride], [0, 0]
        if is_depthwise:
            filters = _constant(weight[:, None])
            y = ops.group_convolution(x, filters, strides, none, none, [1, 1], auto_pad="same_upper")
        else:
            y = ops.convolution(x, _constant(weight), strides, none, none, [1, 1], auto_pad="same_upper")
        y = ops.add(_named(y, name), _constant(bias.reshape(1, -1, 1, 1)))
        return ops.clamp(y, 0.0, 6.0) if clip else y


class _TextTower(_Tower):
    def network(self) -> openvino.Model:
        ids = ops.parameter([-1, -1], openvino.Type.i32, name="ids")
        # Not computed from a conversion: OpenVINO takes `(convert(x) - a) * b` for quantized numbers.
        is_token = ops.not_equal(ids, ops.constant(np.int32(0)))
        present = ops.select(is_token, _constant(1.0), _constant(0.0))
        masked = ops.select(is_token, _constant(0.0), _constant(MASKED))
        mask = ops.unsqueeze(masked, ops.constant([1, 2]))
        x = self._embedded(ids)
        branch_from = self._shape.branch_from
        for number in range(branch_from):
            x = self._layer(x, f"text_tower.layers.{number}", mask)
        published = trained = x
        for number in range(branch_from, TEXT.layers):
            published = self._layer(published, f"text_tower.layers.{number}", mask)
            trained = self._layer(trained, f"branch.{number - branch_from}", mask)
        vectors = self._vectors(_mean_of_tokens(published, present), _mean_of_tokens(trained, present))
        return openvino.Model([vectors], [ids], "photos-text")

    def _embedded(self, ids: Node) -> Node:
        # Converted after the look-up, so that the vocabulary takes a quarter of the memory.
        stored = self._weights.in_8_bits("text_tower.words.weight")
        found, scales = (ops.gather(ops.constant(values), ids, ops.constant(0)) for values in stored)
        words = ops.multiply(ops.convert(found, "f32"), scales)
        length = ops.gather(ops.shape_of(ids), ops.constant([1]), ops.constant(0))
        positions = ops.slice(
            _constant(self._weights["text_tower.positions"]),
            ops.constant([0]), length, ops.constant([1]), ops.constant([0]),
        )  # fmt: skip
        return self._layer_norm(ops.add(words, positions), "text_tower.norm")

    def _layer(self, x: Node, name: str, mask: Node) -> Node:
        """As `photo_towers.BertLayer`."""
        by_head, heads_first = ops.constant([0, 0, TEXT.heads, TEXT.width // TEXT.heads]), ops.constant([0, 2, 1, 3])
        # Split first, so that OpenVINO fuses the three transpositions with the attention: a text takes 15 % less time.
        parts = ops.split(self.linear(x, f"{name}.qkv"), ops.constant(2), 3).outputs()
        q, k, v = (ops.transpose(ops.reshape(part, by_head, True), heads_first) for part in parts)
        attended = ops.transpose(ops.scaled_dot_product_attention(q, k, v, mask), heads_first)
        attended = ops.reshape(attended, ops.constant([0, 0, TEXT.width]), True)
        x = self._layer_norm(ops.add(x, self.linear(attended, f"{name}.out")), f"{name}.norm1")
        inner = self.linear(ops.gelu(self.linear(x, f"{name}.wide"), "erf"), f"{name}.narrow")
        return self._layer_norm(ops.add(x, inner), f"{name}.norm2")

    def _layer_norm(self, x: Node, name: str) -> Node:
        y = ops.mvn(x, ops.constant([2]), True, LAYER_NORM_EPSILON, "inside_sqrt")
        weight, bias = self._weights[f"{name}.weight"], self._weights[f"{name}.bias"]
        return ops.add(ops.multiply(y, _constant(weight)), _constant(bias))

    def _vectors(self, published: Node, trained: Node) -> Node:
        """As `PhotoModel.text_vectors`."""
        direction = _normalised(published)
        share = ops.sigmoid(self.linear(ops.multiply(direction, _constant(GATE_GAIN)), "gate"))
        rest = ops.maximum(ops.subtract(_constant(1.0), share), _constant(LEAST_SHARE))
        caption = _normalised(self.head(ops.multiply(_normalised(trained), _constant(CAPTION_GAIN)), "text_head"))
        classes = _normalised(self.linear(direction, "class_projection"))
        zeros = ops.multiply(share, _constant(np.zeros((1, self._shape.feature_dim))))
        return ops.concat([ops.multiply(ops.sqrt(share), caption), ops.multiply(ops.sqrt(rest), classes), zeros], 1)


def _mean_of_tokens(x: Node, present: Node) -> Node:
    """The mean (n, width) of the states (n, length, width) of the tokens that are not padding."""
    weights = ops.unsqueeze(present, ops.constant(2))
    total = ops.reduce_sum(ops.multiply(x, weights), ops.constant([1]), False)
    return ops.divide(total, ops.reduce_sum(weights, ops.constant([1]), False))


def _normalised(x: Node) -> Node:
    return ops.normalize_l2(x, ops.constant([1]), L2_EPSILON, "max")


def _named(node: Node, name: str) -> Node:
    """The node with the name by which `quantization` identifies it."""
    node.set_friendly_name(name)
    return node


def _constant(values: Any) -> Node:
    return ops.constant(np.asarray(values, np.float32))

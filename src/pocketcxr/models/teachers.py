"""The names worth knowing: our nets and the timm models that serve well here, each with its usual part."""

from typing import Literal

from pocketcxr.models.students.eeea import TABLES

Role = Literal["student", "teacher", "student or teacher"]

OWN: dict[str, Role] = {name: "teacher" if name == "ofa-595" else "student" for name in TABLES}
"""Nets written here."""

CURATED: dict[str, Role] = {
    "mobilenetv3_small_100": "student",
    "mobilenetv4_conv_small": "student",
    "repvit_m0_9": "student",
    "fastvit_t8": "student",
    "ghostnetv2_100": "student",
    "mobilenetv3_large_100": "student",
    "tf_efficientnet_lite0": "student or teacher",
    "resnet10t": "student or teacher",
    "convnext_atto": "student or teacher",
    "efficientnet_b0": "teacher",
    "convnext_tiny": "teacher",
    "resnet50": "teacher",
    "densenet121": "teacher",
    "densenet161": "teacher",
    "vit_small_patch16_224": "teacher",
    "deit_tiny_patch16_224": "teacher",
    "deit_small_patch16_224": "teacher",
    "swin_tiny_patch4_window7_224": "teacher",
    "swin_s3_tiny_224": "teacher",
    "visformer_tiny": "teacher",
    "visformer_small": "teacher",
}
"""A choice among timm's thousand; every other timm name works too where the model has a feature map.

The paper's AutoFormerV2-T is `swin_s3_tiny_224`: under this name timm has the tiny net of Chen et al., Searching the
Search Space of Vision Transformer (arXiv 2111.14725), and its weights from the folder AutoFormerV2 of microsoft/Cream.
"""

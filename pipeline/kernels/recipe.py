"""Kernels as recipes: what is compiled, by name and parameters, once for a node."""

from __future__ import annotations

from typing import Protocol

from llvmlite import ir

from pipeline.kernels.compiling import Library, object_code, signatures
from pipeline.kernels.target import Target


class Recipe(Protocol):
    """What a library is made from: a frozen dataclass whose `repr` says all that its code depends on."""

    def emit(self, module: ir.Module, target: Target) -> None:
        """Adds its functions to a module."""
        ...


def library(recipe: Recipe, target: Target) -> Library:
    """The compiled functions of a recipe."""
    module = ir.Module()
    module.triple = target.triple
    recipe.emit(module, target)
    return Library(object_code(module, target), signatures(module), target)

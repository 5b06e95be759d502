"""Recipes: one module per data set, each with a ``RECIPE``. Found by name, or by the path of a user's own module."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path

from kmm_core.errors import KmmError

from .recipe import Recipe

RECIPE_NAMES = (
    "bandai_namco",
    "cmu",
    "cmu_dance",
    "style100",
    "ui_prmd",
    "hdm05",
    "extras",
    "humanml3d",
    "babel",
    "synthetic",
    "own",
)


def load_recipe(recipe: str | Path) -> Recipe:
    """The recipe of that name, or the ``RECIPE`` of a Python file.

    Raises:
        KmmError: ``unknown_recipe``; ``bad_recipe`` where something is missing in it.
    """
    name = str(recipe).replace("-", "_")
    if name in RECIPE_NAMES:
        return importlib.import_module(f".{name}", __name__).RECIPE
    path = Path(recipe)
    if path.suffix == ".py" and path.is_file():
        spec = importlib.util.spec_from_file_location(f"{__name__}.own_{path.stem}", path)
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module  # dataclasses look their module up there
        spec.loader.exec_module(module)
        if hasattr(module, "RECIPE"):
            needed = (*Recipe.__annotations__, "takes", "read", "cuts")
            missing = [name for name in needed if not hasattr(module.RECIPE, name)]
            if missing:
                raise KmmError(
                    "bad_recipe",
                    f"The RECIPE of {path} has no {', '.join(missing)}.",
                    "training/recipes/recipe.py says what each is.",
                )
            return module.RECIPE
        raise KmmError("unknown_recipe", f"{path} defines no RECIPE.", "See training/recipes/recipe.py.")
    raise KmmError(
        "unknown_recipe",
        f"There is no recipe {str(recipe)!r}; expected one of {', '.join(RECIPE_NAMES)}, or the path of a .py file.",
        "Check the spelling.",
    )

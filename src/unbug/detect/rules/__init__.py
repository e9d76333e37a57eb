"""One file a rule, one package a family; the engine walks them, nothing lists them."""

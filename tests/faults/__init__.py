import os

EAGER = {**os.environ, "EAGER_IMPORT": "1"}
"""Environment of a child that imports everything before it begins, so that a kill hits its work and not its imports."""

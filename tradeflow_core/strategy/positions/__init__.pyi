from .accounts import Accounts as Accounts
from .dynamic import (
    Constraints as Constraints,
    Optimised as Optimised,
    Outcome as Outcome,
    Problem as Problem,
    optimise as optimise,
)

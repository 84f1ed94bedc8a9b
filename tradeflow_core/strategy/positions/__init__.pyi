from .accounts import Accounts as Accounts
from .dynamic import Constraints as Constraints
from .dynamic import Optimised as Optimised
from .dynamic import Outcome as Outcome
from .dynamic import Problem as Problem
from .dynamic import optimise as optimise

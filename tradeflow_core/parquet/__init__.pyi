from .codec import (
    DamagedFile as DamagedFile,
    checksum_problem as checksum_problem,
    encode as encode,
    naming_damage as naming_damage,
)
from .files import ParquetFiles as ParquetFiles
from .months import split_at_months as split_at_months

from .adopt import (
    adopt as adopt,
    copy_history as copy_history,
    copy_tables as copy_tables,
    record_rolls_and_contracts as record_rolls_and_contracts,
)
from .closing import (
    close_rolled_contract as close_rolled_contract,
    close_rolled_contracts as close_rolled_contracts,
)
from .records import (
    DayRecord as DayRecord,
    ReplaySummary as ReplaySummary,
    day_record as day_record,
    replay_summary as replay_summary,
)
from .seeding import (
    replay_home as replay_home,
    replay_settings as replay_settings,
    seed_replay as seed_replay,
)

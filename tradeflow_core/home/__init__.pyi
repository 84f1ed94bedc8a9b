from .alerts import Alerts as Alerts
from .clock import (
    Clock as Clock,
    SimulatedClock as SimulatedClock,
    WallClock as WallClock,
    as_utc as as_utc,
    business_days_between as business_days_between,
    next_business_day as next_business_day,
)
from .fault_settings import (
    FAULTS as FAULTS,
    FaultSettings as FaultSettings,
    split_explicit as split_explicit,
)
from .files import (
    BACKUPS as BACKUPS,
    ROOM_FILE as ROOM_FILE,
    SETTINGS_FILE as SETTINGS_FILE,
    finished_file as finished_file,
    give_room as give_room,
    keep_room as keep_room,
    replace_text as replace_text,
    sync_folder as sync_folder,
)
from .folder import (
    Home as Home,
    NoSuchMarket as NoSuchMarket,
)
from .ledger_word import (
    LEDGER_WORD_FILE as LEDGER_WORD_FILE,
    LedgerWord as LedgerWord,
)
from .settings import (
    SIMULATED_MARKETS as SIMULATED_MARKETS,
    UI_PASSWORD as UI_PASSWORD,
    ExecutionSettings as ExecutionSettings,
    PriceSettings as PriceSettings,
    ReplaySettings as ReplaySettings,
    Settings as Settings,
    environment_home as environment_home,
    load_settings as load_settings,
    take_ui_password as take_ui_password,
    ui_password as ui_password,
)
from .sqlite_files import (
    PARTS as PARTS,
    as_one_file as as_one_file,
    copy_sqlite as copy_sqlite,
    is_sqlite as is_sqlite,
    is_without_room as is_without_room,
    sqlite_path as sqlite_path,
    sqlite_problems as sqlite_problems,
    sqlite_url as sqlite_url,
)
from .upgrades import change_settings as change_settings

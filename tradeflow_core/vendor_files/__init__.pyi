from .csv_file import read_history as read_history
from .folder import CsvFolder as CsvFolder
from .profile import (
    Profile as Profile,
    load_profile as load_profile,
    packaged_profiles as packaged_profiles,
)

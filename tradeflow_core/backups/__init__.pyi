from .archive import (
    Manifest as Manifest,
    extract_data as extract_data,
    problems_of as problems_of,
    read_manifest as read_manifest,
)
from .make import (
    Content as Content,
    content_of as content_of,
    make_backup as make_backup,
)
from .restore import (
    Restored as Restored,
    begin_anew as begin_anew,
    restore_backup as restore_backup,
    take_as_it_is as take_as_it_is,
)

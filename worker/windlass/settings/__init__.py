"""Settings: the frozen model, the mutable facade `app.conf`, and where values come from."""

from windlass.settings.conf import Conf
from windlass.settings.model import Settings
from windlass.settings.sources import from_env, settings_from_env, to_env

__all__ = ["Conf", "Settings", "from_env", "settings_from_env", "to_env"]

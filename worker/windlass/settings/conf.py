"""`app.conf`: the mutable, validated face of the settings.

Layers, the later the stronger: defaults, config_from_object, the app's arguments, assignments,
the environment, overrides (command line flags). Every change is checked at once, all layers
together, and gives a new frozen `Settings`, which is what the engine reads (`conf.current`).
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping
from types import MappingProxyType
from typing import Any

from windlass.errors import ConfigurationError
from windlass.settings import celery_names, sources
from windlass.settings.check import unknown_setting, validated, without_secrets
from windlass.settings.model import NAMES, Settings

#: What tests toggle: these may change at any time.
TOGGLES = frozenset({"task_always_eager", "task_eager_propagates", "task_store_eager_result"})
_LAYERS = ("source", "argument", "change", "environment", "override")


class Conf(MutableMapping[str, Any]):
    """Settings that can be read and set as attributes and as items.

    Args:
        arguments: Values of the app's arguments, by setting name.
        origins: What to call these arguments, where it is not the setting's name.
        environ: The environment; read once, here.

    Raises:
        ConfigurationError: On every way in: unknown name, wrong type, or a change after `freeze`.
    """

    # The one class with dynamic attributes: `app.conf.task_serializer = "json"` is Celery's API.
    _own = frozenset(
        {
            "_current",
            "_frozen",
            "_ignored",
            "_layers",
            "_loading",
            "_lock",
            "_origins",
            "_pending",
            "generation",
        }
    )
    generation: int

    def __init__(
        self,
        arguments: Mapping[str, Any] | None = None,
        *,
        origins: Mapping[str, str] | None = None,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        self._layers: dict[str, dict[str, Any]] = {layer: {} for layer in _LAYERS}
        self._origins: dict[tuple[str, str], str] = {}
        self._ignored: dict[str, Any] = {}
        self._pending: Callable[[], None] | None = None
        self._loading = False
        self._lock = threading.RLock()
        self._frozen = False
        self._current = Settings()
        #: Grows with every change, for caches that are built from settings.
        self.generation = 0
        names = origins or {}
        self._put(
            {
                "argument": (arguments or {}, lambda name: f"argument {names.get(name, name)}="),
                "environment": (
                    sources.from_env(os.environ if environ is None else environ),
                    lambda name: f"environment {sources.PREFIX}{name.upper()}",
                ),
            }
        )

    # -- reading

    @property
    def current(self) -> Settings:
        """The settings as of now, frozen: what hot paths read."""
        if self._pending is not None:
            self._load_pending()
        return self._current

    def __getattr__(self, name: str) -> Any:
        # Reached only for names that are not attributes of the class.
        if name.startswith("_"):
            raise AttributeError(name)
        try:
            return self[name]
        except KeyError as error:
            raise AttributeError(str(unknown_setting(name))) from error

    def __getitem__(self, name: str) -> Any:
        settings = self.current
        if name in NAMES:
            value = getattr(settings, name)
            # Read-only: writing into the dict would change nothing, and be silent about it.
            return MappingProxyType(value) if isinstance(value, dict) else value
        if name in self._ignored:
            return self._ignored[name]
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(NAMES))

    def __len__(self) -> int:
        return len(NAMES)

    def __repr__(self) -> str:
        return f"<Conf {self.humanize()!r}>"

    def origin(self, name: str) -> str:
        """Say where the value comes from, e.g. "default" or "environment WINDLASS_KEYSPACE"."""
        for layer in reversed(_LAYERS):
            if name in self._layers[layer]:
                return self._origins[layer, name]
        return "default"

    @property
    def changes(self) -> dict[str, Any]:
        """The settings that differ from their defaults."""
        current = self.current
        return {
            name: value
            for name in sorted(NAMES)
            if (value := getattr(current, name)) != Settings.model_fields[name].get_default()
        }

    @property
    def ignored(self) -> dict[str, str]:
        """Celery settings that were given and mean nothing here -> why."""
        _ = self.current
        return {name: celery_names.MEANINGLESS[name] for name in sorted(self._ignored)}

    def table(self, with_defaults: bool = False) -> list[tuple[str, Any, str]]:
        """List (name, value, origin), passwords hidden; only what was set unless asked for all."""
        current = self.current
        rows = [(name, getattr(current, name), self.origin(name)) for name in sorted(NAMES)]
        return [
            (name, without_secrets(value), origin)
            for name, value, origin in rows
            if with_defaults or origin != "default"
        ]

    def humanize(self, with_defaults: bool = False) -> str:
        """Render `table` as text, one setting a line."""
        rows = self.table(with_defaults=with_defaults)
        return "\n".join(f"{name}: {value!r} ({origin})" for name, value, origin in rows)

    # -- changing

    def __setattr__(self, name: str, value: Any) -> None:
        if name in self._own:
            object.__setattr__(self, name, value)
        else:
            self._change({name: value}, "conf assignment")

    def __setitem__(self, name: str, value: Any) -> None:
        self._change({name: value}, "conf assignment")

    def __delitem__(self, name: str) -> None:
        """Forget an assignment: the value of the layer below shows again."""
        _ = self.current
        self._refuse_frozen([name])
        if name not in self._layers["change"]:
            raise KeyError(name)
        del self._layers["change"][name]
        self._rebuild(self._layers)

    def update(self, *args: Any, **kwargs: Any) -> None:
        """Change many settings at once: all of them, or none when one is wrong."""
        self._change(dict(*args, **kwargs), "conf.update")

    def override(self, values: Mapping[str, Any], origin: Callable[[str], str]) -> None:
        """Set values that win over everything else, also after `freeze`: command line flags.

        Args:
            values: By setting name.
            origin: Names the origin of a setting, e.g. `lambda name: "flag --concurrency"`.
        """
        _ = self.current
        self._put({"override": (values, origin)})

    def load(
        self,
        source: object,
        *,
        namespace: str | None = None,
        lazy: bool = True,
        silent: bool = False,
    ) -> None:
        """Take settings from an object, as `windlass.settings.sources.from_object` describes.

        As in Celery, this resets what an earlier object and earlier assignments set.

        Args:
            source: The object, or the name of one.
            namespace: Prefix of the names to read.
            lazy: Read a named object only when a setting is first needed.
            silent: Pass over a named object that cannot be found.
        """
        self._refuse_frozen(NAMES)
        self._pending = None
        name = f"config_from_object({_name_of(source)})"

        def read() -> None:
            try:
                found = sources.from_object(source, namespace=namespace)
            except sources.ConfigurationObjectNotFoundError:
                if silent:
                    return
                raise
            self._put({"source": (found, lambda _: name), "change": ({}, str)}, reset=True)

        if lazy and isinstance(source, str):
            self._pending = read
        else:
            read()

    def freeze(self) -> Settings:
        """Fix the settings; from now on only `TOGGLES` may change. Returns them."""
        settings = self.current
        self._frozen = True
        return settings

    def thaw(self) -> None:
        """Allow changes again (`app.close`)."""
        self._frozen = False

    @property
    def frozen(self) -> bool:
        """Whether only `TOGGLES` may change."""
        return self._frozen

    # -- inside

    def _load_pending(self) -> None:
        """Read the named object. Other threads wait for it; the object's own module does not."""
        with self._lock:
            read = self._pending
            if read is None or self._loading:
                return
            self._loading = True
            try:
                read()  # when it fails it stays pending: the next access says the same
                self._pending = None
            finally:
                self._loading = False

    def _change(self, values: Mapping[str, Any], origin: str) -> None:
        _ = self.current
        self._refuse_frozen(values)
        self._put({"change": (values, lambda _: origin)})

    def _refuse_frozen(self, names: Iterable[str]) -> None:
        locked = sorted(set(names) - TOGGLES)
        if self._frozen and locked:
            what = locked[0] if len(locked) == 1 else f"{len(locked)} settings"
            msg = (
                f"Cannot change {what}: the app is finalised or has sent messages, and what was "
                "built from its settings would not follow. Expected at this point: "
                f"{', '.join(sorted(TOGGLES))}. Configure before first use, or call app.close()."
            )
            raise ConfigurationError(msg)

    def _put(
        self,
        updates: Mapping[str, tuple[Mapping[str, Any], Callable[[str], str]]],
        *,
        reset: bool = False,
    ) -> None:
        """Merge values into layers, check everything, and only then keep it."""
        layers = {layer: dict(values) for layer, values in self._layers.items()}
        origins, ignored = dict(self._origins), dict(self._ignored)
        for layer, (values, origin_of) in updates.items():
            if reset:
                layers[layer] = {}
            for name, value in values.items():
                if name in celery_names.MEANINGLESS:
                    ignored[name] = value
                    continue
                if name not in NAMES:
                    raise unknown_setting(name)
                layers[layer][name] = value
                origins[layer, name] = origin_of(name)
        previous, self._origins = self._origins, origins
        try:
            self._rebuild(layers)
        except ConfigurationError:
            self._origins = previous
            raise
        self._ignored = ignored

    def _rebuild(self, layers: dict[str, dict[str, Any]]) -> None:
        merged: dict[str, Any] = {}
        named: dict[str, str] = {}
        for layer in _LAYERS:
            merged.update(layers[layer])
            named.update({name: self._origins[layer, name] for name in layers[layer]})
        self._current = validated(merged, named)
        self._layers = layers
        self.generation += 1


def _name_of(source: object) -> str:
    if isinstance(source, str):
        return repr(source)
    return repr(getattr(source, "__name__", None) or type(source).__name__)

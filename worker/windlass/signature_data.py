"""What a signature holds: task, arguments, options, links. Pure data, no calls.

The base of `windlass.signatures.Signature`, which adds what can be done with it.
Next in the walk: `windlass.signatures`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from windlass import shared
from windlass.call_options import check_known, stamp_names

if TYPE_CHECKING:
    from typing import Self

    from windlass.app import Windlass

V = TypeVar("V")

#: Options that a later call does not change: a member stays in its group, a stamp stays.
_FIXED_OPTIONS = ("group_id", "stamped_headers")


class SignatureData(dict[str, Any]):
    """The fields of a signature, and the ways to change and copy them.

    Attributes:
        _app: Whose tasks and broker; None for the current app.
    """

    _app: Windlass | None

    @property
    def task(self) -> str:
        """Name of the task."""
        name: str = self["task"]
        return name

    name = task

    @property
    def args(self) -> tuple[Any, ...]:
        """Positional arguments."""
        return tuple(self["args"])

    @args.setter
    def args(self, args: Sequence[Any]) -> None:
        self["args"] = tuple(args)

    @property
    def kwargs(self) -> dict[str, Any]:
        """Keyword arguments; changing the dict changes the signature."""
        kwargs: dict[str, Any] = self["kwargs"]
        return kwargs

    @kwargs.setter
    def kwargs(self, kwargs: Mapping[str, Any]) -> None:
        self["kwargs"] = dict(kwargs)

    @property
    def options(self) -> dict[str, Any]:
        """Options of the call; changing the dict changes the signature."""
        options: dict[str, Any] = self["options"]
        return options

    @options.setter
    def options(self, options: Mapping[str, Any]) -> None:
        self["options"] = dict(options)

    @property
    def immutable(self) -> bool:
        """Whether it takes no more arguments at call time."""
        return bool(self["immutable"])

    @immutable.setter
    def immutable(self, immutable: bool) -> None:
        self["immutable"] = immutable

    @property
    def subtask_type(self) -> str | None:
        """The kind: "chain", "group", "chord" and so on; None for a plain signature."""
        kind: str | None = self["subtask_type"]
        return kind

    @property
    def id(self) -> str | None:
        """The id that its task will have, if one was set."""
        return self.options.get("task_id")

    @property
    def root_id(self) -> str | None:
        """The first task of its tree, if one was set."""
        return self.options.get("root_id")

    @property
    def parent_id(self) -> str | None:
        """The task that sends it, if one was set."""
        return self.options.get("parent_id")

    @property
    def app(self) -> Windlass:
        """Whose tasks and broker it uses."""
        return self._app or shared.current_app()

    def clone(
        self,
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> Self:
        """Return a copy; `args` go before its own, `kwargs` and options win over its own.

        The values of the arguments are not copied; links and signatures inside are.
        """
        new_args, new_kwargs, new_options = self.merged(args or (), kwargs or {}, options)
        fields = {
            **self,
            "args": new_args,
            "kwargs": self._cloned_kwargs(new_kwargs),
            "options": cloned_options(new_options),
        }
        return self._made(fields, self._app)

    partial = clone

    @classmethod
    def _made(cls, fields: Mapping[str, Any], app: Windlass | None) -> Self:
        """Make one of complete fields, past the constructor."""
        made = dict.__new__(cls)
        dict.update(made, fields)
        made._app = app
        return made

    def _cloned_kwargs(self, kwargs: Mapping[str, Any]) -> dict[str, Any]:
        return dict(kwargs)

    def replace(
        self,
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> Self:
        """Return a copy with other arguments or options in place of its own, not merged."""
        twin = self.clone()
        if args is not None:
            twin.args = args
        if kwargs is not None:
            twin.kwargs = kwargs
        if options is not None:
            twin.options = options
        return twin

    def set(self, immutable: bool | None = None, **options: Any) -> Self:
        """Set options, and return the signature itself.

        Raises:
            TypeError: An option is unknown.
        """
        check_known(options)
        if immutable is not None:
            self.set_immutable(immutable)
        self.options.update(options)
        return self

    def set_immutable(self, immutable: bool) -> None:
        """Make it take, or not take, arguments at call time."""
        self["immutable"] = immutable

    def link(self, callback: Mapping[str, Any]) -> Any:  # the callback; of a group, its copy
        """Send `callback` with the result; returns the callback, as in Celery."""
        return self.append_to_list_option("link", callback)

    def link_error(self, errback: Mapping[str, Any]) -> Any:  # the errback; of a group, copies
        """Call `errback` on failure; returns the errback, as in Celery."""
        return self.append_to_list_option("link_error", errback)

    def on_error(self, errback: Mapping[str, Any]) -> Self:
        """As `link_error`, but returns the signature itself, for chaining."""
        self.link_error(errback)
        return self

    def append_to_list_option(self, key: str, value: V) -> V:
        """Add a value to an option that is a list, unless it is there; returns the value."""
        links = listed(self.options.get(key))
        if value not in links:
            links.append(value)
        self.options[key] = links
        return value

    def extend_list_option(self, key: str, value: Any) -> None:
        """Add one or several values to an option that is a list."""
        self.options[key] = [*listed(self.options.get(key)), *listed(value)]

    def merged(
        self, args: Sequence[Any], kwargs: Mapping[str, Any], options: Mapping[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any], dict[str, Any]]:
        """Return arguments and options of a call: those given now first, and winning.

        The group that it is a member of, and its stamps, stay what they are.
        """
        own = self.options
        merged = {**own, **options} if options else {**own}
        if own and options:
            fixed = (*_FIXED_OPTIONS, *stamp_names(own))
            merged.update((name, own[name]) for name in fixed if name in own)
        if self.immutable:
            return self.args, self.kwargs, merged
        return (*args, *self.args), {**self.kwargs, **kwargs}, merged

    def reprcall(self, *args: Any, **kwargs: Any) -> str:
        """Return how the call reads, with more arguments before and after its own."""
        given = [repr(arg) for arg in (*args, *self.args)]
        given += [f"{name}={value!r}" for name, value in {**self.kwargs, **kwargs}.items()]
        return f"{self.task}({', '.join(given)})"

    def __repr__(self) -> str:
        return self.reprcall()

    def __json__(self) -> dict[str, Any]:
        return dict(self)


def listed(linked: Any) -> list[Any]:
    """Return what an option holds (one signature, several, or None) as a new list."""
    if not linked:
        return []
    return [linked] if isinstance(linked, Mapping) else list(linked)


def cloned_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Copy options with the signatures that are linked in them."""
    copied = dict(options)
    for key in ("link", "link_error"):
        if key in copied:
            copied[key] = [cloned_link(link) for link in listed(copied[key])]
    return copied


def cloned_link(link: Any) -> Any:
    """Copy a link: a signature, or a dict that is one on the wire."""
    return link.clone() if isinstance(link, SignatureData) else dict(link)


def no_signature(value: object, place: str = "") -> TypeError:
    """Say that something is not a signature, and how one is made."""
    where = f" {place}" if place else ""
    hint = "task.s(...) or signature('name', args)"
    if callable(getattr(value, "s", None)):
        hint = f"{getattr(value, 'name', 'task')}.s(...), with its arguments"
    return TypeError(f"{value!r}{where} is not a signature. Expected {hint}.")

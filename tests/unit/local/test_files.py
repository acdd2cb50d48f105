"""YAML that cannot be used: each case names the line, the field, and what to write instead."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from windlass_operator.local.files import InvalidFilesError, read_resources

HEAD = "apiVersion: windlass.dev/v1alpha1\n"
QUEUE = HEAD + "kind: TaskQueue\nmetadata: {name: emails}\n"
POOL = HEAD + textwrap.dedent(
    """\
    kind: WorkerPool
    metadata: {name: emails}
    spec:
      app: shop.tasks
      image: shop:1
      queues: [{name: emails}]
      replicas: 1
    """
)
AUTOSCALED = POOL.replace("  replicas: 1\n", "  autoscaling:\n    maxReplicas: 3\n")


def with_line(text: str, line: str) -> str:
    """Add a field to the end of the spec."""
    return f"{text}  {line}\n"


# What is wrong -> (the file, its line, what the message says).
CASES: dict[str, tuple[str, int, str]] = {
    "not YAML": ("a: [", 1, "this is no YAML"),
    "a tab": (
        HEAD + "kind: TaskQueue\nmetadata:\n\tname: x\n", 4, "indented with spaces, not tabs",
    ),
    "a list": ("- a\n", 1, "is a list, not a resource. Expected apiVersion, kind, metadata"),
    "a word": ("hello\n", 1, "is a str, not a resource"),
    "no apiVersion": ("kind: TaskQueue\n", 1, "Add `apiVersion: windlass.dev/v1alpha1`."),
    "no kind": (HEAD, 1, "has no kind. Add `kind: TaskQueue, WorkerPool or BeatSchedule`."),
    "another version": (
        QUEUE.replace("v1alpha1", "v1"), 1, "Write `apiVersion: windlass.dev/v1alpha1`.",
    ),
    "a group that is nearly ours": (
        QUEUE.replace("windlass.dev", "windlass.io"), 1,
        "Write `apiVersion: windlass.dev/v1alpha1`.",
    ),
    "a kind that is nearly ours": (
        QUEUE.replace("TaskQueue", "TaskQueu"), 2, "Did you mean 'TaskQueue'?",
    ),
    "a kind that does not exist": (
        QUEUE.replace("TaskQueue", "Banana"), 2, "Expected TaskQueue, WorkerPool or BeatSchedule.",
    ),
    "no name": (HEAD + "kind: TaskQueue\n", 1, "metadata.name is required"),
    "a name in capitals": (
        QUEUE.replace("emails", "Emails"), 3, "'Emails' is no name. Expected small letters",
    ),
    "a name that is a number": (QUEUE.replace("emails", "12"), 3, "12 is no name"),
    "a pool's name that is too long": (
        POOL.replace("{name: emails}", f"{{name: {'e' * 48}}}", 1), 3,
        "has 48 characters; at most 47 are allowed",
    ),
    "a misspelt top-level field": (
        QUEUE + "specs: {}\n", 4, "specs is not a field of a TaskQueue. Did you mean 'spec'?",
    ),
    "a field written twice": (
        QUEUE + "spec:\n  paused: true\n  paused: false\n", 6,
        "spec.paused is written twice, first on line 5",
    ),
    "spec is a list": (QUEUE + "spec: [1]\n", 4, "spec is not a mapping"),
    "a misspelt field": (
        with_line(POOL, "concurency: 2"), 9,
        "spec.concurency is not a field. Did you mean 'concurrency'?",
    ),
    "a misspelt nested field": (
        AUTOSCALED.replace("maxReplicas", "maxReplica"), 9,
        "spec.autoscaling.maxReplica is not a field. Did you mean 'maxReplicas'?",
    ),
    "a field of nothing that is known": (
        with_line(QUEUE + "spec:\n", "xyzzy: 1"), 5, "spec.xyzzy is not a field. Known are: queueN",
    ),
    "a number in quotes": (
        with_line(POOL, 'concurrency: "2"'), 9,
        "spec.concurrency: Input should be a valid integer, not '2'.",
    ),
    "a truth in quotes": (
        QUEUE + 'spec:\n  paused: "yes"\n', 5, "Input should be a valid boolean, not 'yes'",
    ),
    "a duration without a unit": (
        QUEUE + "spec:\n  drainTarget: 30\n", 5, "30 has no unit; expected a number with s, m",
    ),
    "a duration in words": (
        QUEUE + "spec:\n  drainTarget: soon\n", 5, "'soon' is no duration; expected e.g. '90s'",
    ),
    "no app": (POOL.replace("  app: shop.tasks\n", ""), 4, "spec.app is required."),
    "no queues": (
        POOL.replace("  queues: [{name: emails}]\n", ""), 4, "spec.queues is required.",
    ),
    "queues as a word": (POOL.replace("[{name: emails}]", "emails"), 7, "a valid array"),
    "a queue without a name": (
        POOL.replace("{name: emails}]", "{nam: emails}]"), 7, "Did you mean 'name'?",
    ),
    "a queue named twice": (
        POOL.replace("[{name: emails}]", "[{name: a}, {name: a}]"), 4,
        "queues must not name a queue twice",
    ),
    "an unknown pool": (
        with_line(POOL, "pool: gevent"), 9,
        "'prefork', 'threads', 'asyncio' or 'solo', not 'gevent'",
    ),
    "solo with two slots": (
        POOL + "  pool: solo\n  concurrency: 2\n", 4, "pool solo runs one task at a time",
    ),
    "replicas and autoscaling": (
        with_line(AUTOSCALED, "replicas: 1"), 4,
        "name exactly one of replicas and autoscaling",
    ),
    "neither": (
        POOL.replace("  replicas: 1\n", ""), 4, "name exactly one of replicas and autoscaling",
    ),
    "min over max": (
        AUTOSCALED + "    minReplicas: 4\n", 8, "minReplicas must not be more than maxReplicas",
    ),
    "negative replicas": (
        POOL.replace("replicas: 1", "replicas: -1"), 8, "greater than or equal to 0, not -1",
    ),
    "soft limit over the hard one": (
        with_line(POOL, "timeLimits: {soft: 20s, hard: 10s}"), 9, "soft must be shorter than hard",
    ),
    "a password in the address": (
        QUEUE + "spec:\n  broker:\n    url: redis://me:secret@host/0\n", 5,
        "url must not carry credentials",
    ),
    "no Redis address": (
        QUEUE + "spec:\n  broker:\n    url: amqp://host\n", 6, "String should match pattern",
    ),
    "two brokers": (
        QUEUE + "spec:\n  broker: {url: 'redis://h', secretKeyRef: {name: x}}\n", 5,
        "name exactly one of url and secretKeyRef",
    ),
    "a memory size in words": (
        with_line(POOL, "maxMemoryPerChild: lots"), 9, "'lots' is no memory size; expected e.g.",
    ),
    "the same queue again": (QUEUE + "---\n" + QUEUE, 7, "TaskQueue 'emails' is declared already"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "line", "message"), CASES.values(), ids=list(CASES))
def test_error_names_line_field_and_fix(tmp_path: Path, text: str, line: int, message: str) -> None:
    file = tmp_path / "queue.yaml"
    file.write_text(text)
    with pytest.raises(InvalidFilesError) as caught:
        read_resources([file])

    found = [problem for problem in caught.value.problems if message in problem]
    assert found, f"{message!r} is not in\n{caught.value}"
    assert found[0].startswith(f"{file}:{line}: "), found[0]
    assert str(caught.value).startswith("Nothing was started: there ")


def test_there_are_at_least_forty_cases() -> None:
    assert len(CASES) >= 40


def test_everything_that_is_wrong_is_said_at_once(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(QUEUE.replace("emails", "Emails"))
    (tmp_path / "b.yml").write_text("a: [")
    (tmp_path / "c.txt").write_text("not looked at")
    with pytest.raises(InvalidFilesError) as caught:
        read_resources([tmp_path, tmp_path / "gone.yaml"])

    assert len(caught.value.problems) == 3
    assert "there are 3 problems in the files" in str(caught.value)


def test_missing_file_and_empty_folder_are_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidFilesError) as caught:
        read_resources([tmp_path / "gone.yaml", tmp_path])

    assert "gone.yaml: there is no such file or folder." in str(caught.value)
    assert "no .yaml or .yml file is in this folder" in str(caught.value)


def test_files_without_any_of_our_resources_are_an_error(tmp_path: Path) -> None:
    file = tmp_path / "service.yaml"
    file.write_text("apiVersion: v1\nkind: Service\nmetadata: {name: x}\n")
    with pytest.raises(InvalidFilesError, match="no TaskQueue, WorkerPool or BeatSchedule"):
        read_resources([file])


def test_good_files_give_bodies_folders_and_notes(tmp_path: Path) -> None:
    file = tmp_path / "all.yaml"
    service = "apiVersion: v1\nkind: Service\nmetadata: {name: x}\n"
    template = with_line(POOL, "podTemplate: {spec: {nodeSelector: {a: b}}}")
    file.write_text("---\n".join(["# first\n", QUEUE, template, service]))
    resources = read_resources([file])

    assert [body["kind"] for body in resources.bodies] == ["TaskQueue", "WorkerPool"]
    assert resources.bodies[0]["metadata"]["namespace"] == "default"
    assert "podTemplate" not in resources.bodies[1]["spec"]
    assert resources.folders == {("default", "emails"): tmp_path}
    assert resources.places["TaskQueue", "default", "emails"] == f"{file}:3"
    service_note, ignored_note = resources.notes
    assert service_note.startswith("Service at ")
    assert "spec.image of emails; spec.podTemplate of emails" in ignored_note


def test_same_name_in_two_namespaces_is_two_resources(tmp_path: Path) -> None:
    file = tmp_path / "all.yaml"
    other = QUEUE.replace("{name: emails}", "{name: emails, namespace: other}")
    file.write_text(QUEUE + "---\n" + other)

    assert len(read_resources([file]).bodies) == 2

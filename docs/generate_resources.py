"""Write the pages of docs/reference on the resources: `make docs`.

taskqueue.md and workerpool.md come from crds/, conditions.md from the operator's enumerations with
the comment above each word.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[1]
REFERENCE = ROOT / "docs" / "reference"
OPERATOR = ROOT / "operator" / "windlass_operator"
NOTE = "<!-- Written by docs/generate_resources.py from {source}; `make docs` writes it anew. -->"

EXAMPLES = {
    "taskqueues": """\
apiVersion: windlass.dev/v1alpha1
kind: TaskQueue
metadata: {name: emails}
spec:
  drainTarget: 60s
""",
    "beatschedules": """\
apiVersion: windlass.dev/v1alpha1
kind: BeatSchedule
metadata: {name: nightly-report}
spec:
  schedule: 0 3 * * mon-fri
  timeZone: Europe/Paris
  task: shop.tasks.report
  kwargs: {full: true}
  queueRef: {name: emails}
""",
    "workerpools": """\
apiVersion: windlass.dev/v1alpha1
kind: WorkerPool
metadata: {name: emails}
spec:
  app: shop.tasks
  image: registry.example/shop:1.4
  queues: [{name: emails}]
  concurrency: 4
  timeLimits: {soft: 5m, hard: 6m}
  autoscaling: {minReplicas: 0, maxReplicas: 20}
""",
}
#: (title, file, class, introduction)
WORDS = (
    (
        "Types",
        "reasons.py",
        "ConditionType",
        "The first is always `Ready`: `kubectl wait --for=condition=Ready wp/emails`.",
    ),
    ("Reasons", "reasons.py", "ConditionReason", "Of all conditions."),
    (
        "Reasons of brokers",
        "observed.py",
        "BrokerError",
        "Of `Ready` of a TaskQueue or BeatSchedule, and of `MetricsAvailable` of a WorkerPool.",
    ),
    (
        "Reasons of scaling",
        "scaling/decide.py",
        "Reason",
        "Of `ScalingActive`, and `status.scaling.reason`.",
    ),
    ("Events", "reasons.py", "EventReason", "`kubectl events --for wp/emails` shows them."),
)


def pages() -> dict[Path, str]:
    """Return the text of every page."""
    return {
        REFERENCE / "taskqueue.md": resource_page("taskqueues"),
        REFERENCE / "workerpool.md": resource_page("workerpools"),
        REFERENCE / "beatschedule.md": resource_page("beatschedules"),
        REFERENCE / "conditions.md": conditions_page(),
    }


# -- resources -------------------------------------------------------------------------------------


def resource_page(plural: str) -> str:
    """Write the page of one kind."""
    path = ROOT / "crds" / f"{plural}.yaml"
    spec = yaml.safe_load(path.read_text())["spec"]
    version = spec["versions"][0]
    schema = version["schema"]["openAPIV3Schema"]
    names = spec["names"]
    short = ", ".join(f"`kubectl get {name}`" for name in names["shortNames"])
    parts = [
        f"# {names['kind']}\n",
        NOTE.format(source=f"crds/{plural}.yaml") + "\n",
        f"{schema['description']}\n",
        f"`{spec['group']}/{version['name']}`, namespaced; {short}, "
        f"`kubectl explain {names['singular']}.spec`.\n",
        f"```yaml\n{EXAMPLES[plural]}```\n",
    ]
    own_rules = list(rules_of(schema))
    for part in ("spec", "status"):
        node = schema["properties"][part]
        parts += [f"## {part}\n", f"{node['description']}\n", *table(node)]
        rules = [*own_rules, *rules_of(node)] if part == "spec" else []
        if rules:
            parts += ["Rules, checked by the API server:\n", *(f"- {rule}" for rule in rules), ""]
    parts += ["## Columns\n", "| Column | Meaning |\n|---|---|"]
    for column in version["additionalPrinterColumns"]:
        wide = " (with `-o wide`)" if column.get("priority") else ""
        parts.append(f"| {column['name']} | {column['description']}{wide} |")
    return "\n".join(parts) + "\n"


def table(node: Mapping[str, Any]) -> Iterator[str]:
    """Yield the rows of every field below a node."""
    yield "| Field | Type | Default | Meaning |\n|---|---|---|---|"
    for path, child, is_required in fields(node):
        default = "required" if is_required else default_of(child)
        text = re.sub(r"\s+", " ", child.get("description", "")).replace("|", "\\|")
        yield f"| `{path}` | {type_of(child)} | {default} | {text} |"
    yield ""


def fields(node: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Any, bool]]:
    """Yield (path, schema, required) of every field, parents first; items of lists as []."""
    required = node.get("required", ())
    for name, child in node.get("properties", {}).items():
        below = f"{path}.{name}" if path else name
        yield below, child, name in required
        yield from fields(child, below)
        yield from fields(child.get("items", {}), f"{below}[]")


def type_of(node: Mapping[str, Any]) -> str:
    """Say a field's type and bounds."""
    if "enum" in node:
        return ", ".join(f"`{value}`" for value in node["enum"])
    kind = {"boolean": "true or false", "array": "list", "string": "text"}.get(
        node["type"], node["type"]
    )
    pattern = node.get("pattern", "")
    if "(s|m|h)" in pattern:
        kind = "duration"
    elif "Mi|Gi" in pattern:
        kind = "memory"
    elif node.get("format") == "date-time":
        kind = "time"
    if "minimum" in node and "maximum" in node:
        return f"{kind}, {node['minimum']:,} to {node['maximum']:,}"
    if "maxItems" in node:
        return f"{kind}, at most {node['maxItems']}"
    return kind


def default_of(node: Mapping[str, Any]) -> str:
    """Say a field's default."""
    value = node.get("default")
    if value is None or value == {}:
        return ""
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def rules_of(node: Mapping[str, Any]) -> Iterator[str]:
    """Yield the messages of a node's rules and of those below it."""
    for rule in node.get("x-kubernetes-validations", ()):
        yield rule["message"].rstrip(".")
    if "properties" in node and "spec" in node["properties"]:
        return  # the root: its parts come on their own
    for child in (*node.get("properties", {}).values(), node.get("items")):
        if child is not None:
            yield from rules_of(child)


# -- conditions ------------------------------------------------------------------------------------


def conditions_page() -> str:
    """Write the page of conditions, reasons and events."""
    parts = [
        "# Conditions and events\n",
        NOTE.format(source="the operator's code") + "\n",
        "What resources say of themselves. The words are part of the API: alerts may rely on them.",
        "",
    ]
    for title, file, name, text in WORDS:
        parts += [f"## {title}\n", f"{text}\n", "| Word | Meaning |\n|---|---|"]
        parts += [f"| `{word}` | {meaning} |" for word, meaning in words(file, name)]
        parts.append("")
    return "\n".join(parts).rstrip() + "\n"


def words(file: str, name: str) -> list[tuple[str, str]]:
    """Return (value, comment) of every member of an enumeration, in its order."""
    source = (OPERATOR / file).read_text()
    body = re.split(r"\n(?:class|def|@)", source.partition(f"class {name}(")[2])[0]
    found = []
    for comment, value in re.findall(r'((?: +#: .*\n)+) +[A-Z_]+ = "(\w+)"', body):
        text = " ".join(line.strip().removeprefix("#: ") for line in comment.splitlines())
        found.append((value, text))
    return found


if __name__ == "__main__":
    for page, text in pages().items():
        page.write_text(text)

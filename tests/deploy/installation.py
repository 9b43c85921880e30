"""What `kubectl apply -k` would make, to be asked."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from deploy.validate import Manifest

_FACTORS = {"m": 1e-3, "": 1.0, "k": 1e3, "Ki": 2.0**10, "Mi": 2.0**20, "Gi": 2.0**30}


@dataclass(frozen=True, slots=True)
class Pod:
    """What a Deployment, a Job or an InferenceService makes pods of."""

    owner: str
    labels: Mapping[str, str]
    spec: Mapping[str, Any]

    @property
    def container(self) -> Mapping[str, Any]:
        """The only one."""
        (container,) = self.spec["containers"]
        return dict(container)

    @property
    def ports(self) -> dict[str, int]:
        """By name."""
        return {each["name"]: each["containerPort"] for each in self.container.get("ports", ())}

    @property
    def is_ours(self) -> bool:
        """Made of our image."""
        return "/stallscope:" in f"/{self.container['image']}"

    def probe(self, kind: str) -> Mapping[str, Any]:
        """`startupProbe` and so on."""
        return dict(self.container[kind])

    def is_selected_by(self, selector: Mapping[str, Any]) -> bool:
        """By labels, or also by expressions that say `In`."""
        labels = selector.get("matchLabels", selector if _is_flat(selector) else {})
        expressions = selector.get("matchExpressions", ())
        return labels.items() <= self.labels.items() and all(
            each["operator"] == "In" and self.labels.get(each["key"]) in each["values"]
            for each in expressions
        )


def _is_flat(selector: Mapping[str, Any]) -> bool:
    return all(isinstance(value, str) for value in selector.values())


class Installation:
    """The manifests of one overlay."""

    def __init__(self, manifests: Sequence[Manifest]) -> None:
        self.manifests = manifests

    def all(self, kind: str) -> list[Manifest]:
        """Of one kind."""
        return [manifest for manifest in self.manifests if manifest["kind"] == kind]

    def one(self, kind: str, name: str) -> Manifest:
        """The one of that name, whatever hash it has got."""
        (found,) = (each for each in self.all(kind) if _name(each).startswith(name))
        return found

    @property
    def pods(self) -> list[Pod]:
        """One of each sort."""
        return list(self._pods())

    def pod(self, owner: str) -> Pod:
        """The one that an object of that name makes."""
        (found,) = (pod for pod in self.pods if pod.owner == owner)
        return found

    @property
    def serving(self) -> list[Pod]:
        """Those which answer requests with our code."""
        return [pod for pod in self.pods if "livenessProbe" in pod.container]

    def _pods(self) -> Iterator[Pod]:
        for manifest in self.manifests:
            name = _name(manifest)
            if manifest["kind"] in {"Deployment", "Job"}:
                template = manifest["spec"]["template"]
                yield Pod(name, template["metadata"]["labels"], template["spec"])
            if manifest["kind"] == "InferenceService":
                # KServe hands its labels on.
                yield Pod(name, manifest["metadata"]["labels"], manifest["spec"]["predictor"])

    def environment(self, pod: Pod) -> dict[str, str]:
        """What is known of its variables: ConfigMaps' and plain ones, the latter first in rank."""
        known: dict[str, str] = {}
        for source in pod.container.get("envFrom", ()):
            known |= self._named("ConfigMap", source["configMapRef"]["name"])["data"]
        plain = pod.container.get("env", ())
        return known | {each["name"]: each["value"] for each in plain if "value" in each}

    def _named(self, kind: str, name: str) -> Manifest:
        (found,) = (each for each in self.all(kind) if _name(each) == name)
        return found

    def has(self, kind: str, name: str) -> bool:
        """Exactly that name."""
        return any(_name(each) == name for each in self.all(kind))


def secret_keys(pod: Pod) -> Iterator[Mapping[str, Any]]:
    """The references to Secrets in its environment."""
    for each in pod.container.get("env", ()):
        if reference := each.get("valueFrom", {}).get("secretKeyRef"):
            yield {"variable": each["name"], **reference}


def quantity(text: str) -> float:
    """`500m` is 0.5, `1Ki` is 1024."""
    number = text.rstrip("mkKMGi")
    return float(number) * _FACTORS[text[len(number) :]]


def _name(manifest: Manifest) -> str:
    return str(manifest["metadata"]["name"])

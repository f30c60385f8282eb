"""What a program with the Kubernetes client of Python does: prints a line for everything that worked."""

import json
import sys
import threading
import uuid

from kubernetes import client, config, dynamic, watch
from kubernetes.leaderelection import electionconfig, leaderelection
from kubernetes.leaderelection.resourcelock.configmaplock import ConfigMapLock

config.load_kube_config(sys.argv[1])
core = client.CoreV1Api()
say = lambda text: print(text, flush=True)

body = client.V1ConfigMap(metadata=client.V1ObjectMeta(name="one", labels={"from": "python"}), data={"a": "1"})
core.create_namespaced_config_map("default", body)
core.patch_namespaced_config_map("one", "default", {"data": {"b": "2"}})
assert core.read_namespaced_config_map("one", "default").data == {"a": "1", "b": "2"}
say("created, patched, read")

seen = []
threading.Timer(0.1, lambda: core.patch_namespaced_config_map("one", "default", {"data": {"c": "3"}})).start()
for event in watch.Watch().stream(
    core.list_namespaced_config_map, "default", label_selector="from=python", timeout_seconds=20
):
    seen.append((event["type"], event["object"].data.get("c")))
    if seen[-1] == ("MODIFIED", "3"):
        break
assert seen[0] == ("ADDED", None), seen
say("watched")

try:
    core.create_namespaced_config_map("default", body)
except client.exceptions.ApiException as refusal:
    assert refusal.status == 409 and "already exists" in refusal.body
    say("refused twice the same")

crds = client.ApiextensionsV1Api()
crds.create_custom_resource_definition(
    {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "gauges.example.com"},
        "spec": {
            "group": "example.com",
            "scope": "Namespaced",
            "names": {"plural": "gauges", "kind": "Gauge"},
            "versions": [
                {
                    "name": "v1",
                    "served": True,
                    "storage": True,
                    "schema": {
                        "openAPIV3Schema": {
                            "type": "object",
                            "properties": {
                                "spec": {"type": "object", "properties": {"level": {"type": "integer", "default": 1}}}
                            },
                        }
                    },
                }
            ],
        },
    }
)
for event in watch.Watch().stream(crds.list_custom_resource_definition, timeout_seconds=20):
    conditions = event["object"].status.conditions or []
    if any(each.type == "Established" and each.status == "True" for each in conditions):
        break
custom = client.CustomObjectsApi()
made = custom.create_namespaced_custom_object(
    "example.com",
    "v1",
    "default",
    "gauges",
    {"apiVersion": "example.com/v1", "kind": "Gauge", "metadata": {"name": "g"}, "spec": {}},
)
assert made["spec"] == {"level": 1}, made
say("defined a kind and used it")

gauges = dynamic.DynamicClient(client.ApiClient()).resources.get(api_version="example.com/v1", kind="Gauge")
applied = gauges.server_side_apply(
    # As a text: this version of the library cannot encode what it applies itself.
    body=json.dumps({"apiVersion": "example.com/v1", "kind": "Gauge", "metadata": {"name": "g"}, "spec": {"level": 2}}),
    name="g",
    namespace="default",
    field_manager="python",
    force_conflicts=True,
)
assert applied.spec.level == 2
assert any(each.manager == "python" and each.operation == "Apply" for each in applied.metadata.managedFields)
say("applied")


leads = threading.Event()


def elect():
    leaderelection.LeaderElection(
        electionconfig.Config(
            ConfigMapLock("lock", "default", str(uuid.uuid4())),
            lease_duration=6,
            renew_deadline=4,
            retry_period=1,
            onstarted_leading=leads.set,
            onstopped_leading=lambda: None,
        )
    ).run()


threading.Thread(target=elect, daemon=True).start()
assert leads.wait(20)
say("leads")

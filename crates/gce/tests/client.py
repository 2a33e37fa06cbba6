"""Google's own client of Compute Engine, against a fake: what it does there must come to what its documentation says.

Argument: the endpoint. Its parser of answers is google-cloud-compute's, which refuses unknown names and wrong types. Says
what was tried; the first thing that is wrong ends it.
"""

import json
import sys

from google.auth.credentials import AnonymousCredentials
from google.cloud import compute_v1
from googleapiclient.discovery import build
from googleapiclient.errors import HttpError

PROJECT, ZONE = "lab", "us-central1-a"


def parsed(message, answer):
    """The answer as Google's model reads it: nothing in it may be unknown there."""
    text = {key: value for key, value in answer.items() if key not in ("kind", "etag")}
    return message.from_json(json.dumps(text))


def instance(name, zone=ZONE):
    return {
        "name": name,
        "machineType": f"zones/{zone}/machineTypes/n2-standard-4",
        "disks": [{"boot": True, "autoDelete": True, "initializeParams": {
            "sourceImage": "projects/debian-cloud/global/images/family/debian-12",
            "diskType": f"zones/{zone}/diskTypes/pd-balanced", "diskSizeGb": "10"}}],
        "networkInterfaces": [{"network": "global/networks/default"}],
        "labels": {"team": "lab"},
        "metadata": {"items": [{"key": "startup-script", "value": "true"}]},
        "scheduling": {"automaticRestart": False},
    }


def refused(status, reason, call):
    try:
        call.execute()
    except HttpError as error:
        assert error.resp.status == status, error
        details = json.loads(error.content)["error"]["errors"][0]
        assert details["reason"] == reason, details
        return
    raise AssertionError(f"not refused: {reason}")


def said(text):
    print(text, flush=True)


def wait(compute, operation):
    for _ in range(20):
        operation = compute.zoneOperations().wait(project=PROJECT, zone=ZONE, operation=operation["name"]).execute()
        parsed(compute_v1.Operation, operation)
        if operation["status"] == "DONE":
            return operation
    raise AssertionError("an operation without end")


def listed(compute, **arguments):
    found, request = [], compute.instances().aggregatedList(project=PROJECT, **arguments)
    while request is not None:
        page = request.execute()
        parsed(compute_v1.InstanceAggregatedList, page)
        for scope in page["items"].values():
            found += scope.get("instances", [])
        request = compute.instances().aggregatedList_next(request, page)
    return sorted(it["name"] for it in found)


def main():
    compute = build("compute", "v1", static_discovery=True, credentials=AnonymousCredentials(),
                    client_options={"api_endpoint": sys.argv[1]})
    of_vm = {"project": PROJECT, "zone": ZONE, "instance": "vm-1"}
    insert = compute.instances().insert(project=PROJECT, zone=ZONE, body=instance("vm-1"),
                                        requestId="00000000-0000-4000-8000-000000000001")
    operation = insert.execute()
    parsed(compute_v1.Operation, operation)
    done = wait(compute, operation)
    assert "error" not in done and done["targetLink"].endswith("/instances/vm-1"), done
    looked = compute.zoneOperations().get(project=PROJECT, zone=ZONE, operation=operation["name"]).execute()
    assert looked["status"] == "DONE"
    assert insert.execute()["name"] == operation["name"], "one request"
    said("insert, wait, get of the operation, and the same request again")

    refused(409, "alreadyExists", compute.instances().insert(project=PROJECT, zone=ZONE, body=instance("vm-1")))
    refused(400, "invalid", compute.instances().insert(project=PROJECT, zone=ZONE, body=instance("VM_1")))
    refused(404, "notFound", compute.instances().get(**{**of_vm, "instance": "vm-9"}))
    refused(400, "invalid", compute.instances().get(**{**of_vm, "zone": "mars-1-a"}))
    said("refusals: alreadyExists, invalid, notFound")

    for number in range(2, 6):
        compute.instances().insert(project=PROJECT, zone=ZONE, body=instance(f"vm-{number}")).execute()
    names = [f"vm-{number}" for number in range(1, 6)]
    assert listed(compute, filter='labels.team="lab"', maxResults=2) == names
    assert listed(compute) == names
    assert listed(compute, filter='labels.team="other"') == []
    said("aggregated lists, in pages and by label")

    vm = compute.instances().get(**of_vm).execute()
    parsed(compute_v1.Instance, vm)
    assert vm["status"] == "RUNNING" and vm["networkInterfaces"][0]["networkIP"], vm
    items = vm["metadata"]["items"] + [{"key": "enable-guest-attributes", "value": "TRUE"}]
    body = {"fingerprint": vm["metadata"]["fingerprint"], "items": items}
    wait(compute, compute.instances().setMetadata(**of_vm, body=body).execute())
    refused(412, "conditionNotMet", compute.instances().setMetadata(**of_vm, body=body))
    labels = {"labelFingerprint": vm["labelFingerprint"], "labels": {"team": "other"}}
    wait(compute, compute.instances().setLabels(**of_vm, body=labels).execute())
    refused(412, "conditionNotMet", compute.instances().setLabels(**of_vm, body=labels))
    vm = compute.instances().get(**of_vm).execute()
    assert vm["metadata"]["items"] == items and vm["labels"] == {"team": "other"}, vm
    said("get, setMetadata and setLabels, once for each fingerprint")

    refused(404, "notFound", compute.instances().getGuestAttributes(**of_vm, queryPath="hostkeys/"))
    said("getGuestAttributes of what is not published")

    wait(compute, compute.instances().delete(**of_vm).execute())
    refused(404, "notFound", compute.instances().get(**of_vm))
    assert listed(compute) == names[1:]
    said("delete")


main()

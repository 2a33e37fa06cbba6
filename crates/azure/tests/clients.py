"""Microsoft's own Python clients against an Azure: `clients.py ENDPOINT TENANT CLIENT SUBSCRIPTION NAME`.

It does what the driver does (a NIC, a VM with it, lists, tags, disks, the end), and what a test of the fake needs beside:
the same VM again, one that fails after it was accepted, a NIC that is kept. The client's secret is read from standard
input. Writes what the clients have understood as JSON.
"""

import json
import sys
import time
import urllib.parse
import urllib.request

from azure.core.credentials import AccessToken
from azure.core.exceptions import HttpResponseError
from azure.mgmt.compute import ComputeManagementClient
from azure.mgmt.network import NetworkManagementClient
from azure.mgmt.resource.resources import ResourceManagementClient

endpoint, tenant, client, subscription, name = sys.argv[1:]
secret = sys.stdin.read().strip()
group = "cluster"
# The fake does not speak TLS.
PLAIN = {"enforce_https": False}


class Credential:
    """What the driver does by itself."""

    def get_token(self, *scopes, **_):
        form = {
            "grant_type": "client_credentials",
            "client_id": client,
            "client_secret": secret,
            "resource": endpoint,
        }
        url = f"{endpoint}{tenant}/oauth2/token?api-version=1.0"
        with urllib.request.urlopen(url, urllib.parse.urlencode(form).encode()) as answer:
            given = json.load(answer)
        return AccessToken(given["access_token"], int(time.time()) + int(given["expires_in"]))


def of(kind, **more):
    options = {"base_url": endpoint.rstrip("/"), "polling_interval": 0, **PLAIN, **more}
    return kind(Credential(), subscription, credential_scopes=[endpoint + ".default"], **options)


def refused(call):
    """The code that the client has read out of a refusal."""
    try:
        call()
    except HttpResponseError as error:
        return [error.status_code, error.error.code if error.error else None]
    return "no refusal"


compute, network = of(ComputeManagementClient), of(NetworkManagementClient)
resources = of(ResourceManagementClient, api_version="2021-04-01")
told = {}


def id_of(provider, kind, name, group=group):
    return f"/subscriptions/{subscription}/resourceGroups/{group}/providers/{provider}/{kind}/{name}"


def make_nic(name):
    subnet = id_of("Microsoft.Network", "virtualNetworks", "net", "network") + "/subnets/sub"
    configuration = {
        "name": "ip1",
        "properties": {"subnet": {"id": subnet}, "privateIPAllocationMethod": "Dynamic", "primary": True},
    }
    nic = {"location": "centralus", "tags": {"a": "b"}, "properties": {"ipConfigurations": [configuration]}}
    return network.network_interfaces.begin_create_or_update(group, name, nic, **PLAIN).result()


def vm(nic, **more):
    key = {"path": "/home/crunch/.ssh/authorized_keys", "keyData": "ssh-ed25519 AAAA"}
    login = {"disablePasswordAuthentication": True, "ssh": {"publicKeys": [key]}}
    return {
        "location": "centralus",
        "tags": {"a": "b"},
        "properties": {
            "hardwareProfile": {"vmSize": "Standard_D2s_v5"},
            "storageProfile": {
                "imageReference": {"id": id_of("Microsoft.Compute", "images", "img", "images")},
                "osDisk": {"name": f"{name}-os", "osType": "Linux", "createOption": "FromImage", "deleteOption": "Delete"},
            },
            "networkProfile": {"networkInterfaces": [{"id": nic.id, "properties": {"primary": True, "deleteOption": "Delete"}}]},
            "osProfile": {"computerName": name, "adminUsername": "crunch", "linuxConfiguration": login, **more},
        },
    }


def make_vm(name, body, **more):
    return compute.virtual_machines.begin_create_or_update(group, name, body, **PLAIN, **more).result()


nic = make_nic(f"{name}-nic")
told["address"] = nic.ip_configurations[0].private_ip_address
made = make_vm(name, vm(nic), etag="*", match_condition=None)
told["made"] = [made.name, made.provisioning_state, made.hardware_profile.vm_size, made.tags]
told["created"] = made.time_created is not None
listed = list(compute.virtual_machines.list(group, **PLAIN))
told["listed"] = [it.name for it in listed]
told["nics"] = [[it.name, it.virtual_machine is not None] for it in network.network_interfaces.list(group, **PLAIN)]
told["disks"] = [[it.name, it.disk_state] for it in compute.disks.list_by_resource_group(group, **PLAIN)]
tags = {"operation": "Merge", "properties": {"tags": {"A": "c", "d": "e"}}}
tagged = resources.tags.begin_update_at_scope(made.id, tags, **PLAIN) if hasattr(
    resources.tags, "begin_update_at_scope"
) else resources.tags.update_at_scope(made.id, tags, **PLAIN)
tagged = tagged.result() if hasattr(tagged, "result") else tagged
told["tags"] = tagged.properties.tags
told["used"] = refused(lambda: network.network_interfaces.begin_delete(group, f"{name}-nic", **PLAIN).result())
changed = vm(nic, customData="Y2hhbmdlZA==")
told["changed"] = refused(lambda: make_vm(name, changed))
compute.virtual_machines.begin_delete(group, name, **PLAIN).result()
told["left"] = [it.name for it in compute.virtual_machines.list(group, **PLAIN)]
told["left"] += [it.name for it in network.network_interfaces.list(group, **PLAIN)]
told["gone"] = refused(lambda: compute.virtual_machines.get(group, name, **PLAIN))
# The test has told the fake that the next VM fails.
other = make_nic("other-nic")
told["failed"] = refused(lambda: make_vm("other", vm(other)))
told["failed state"] = compute.virtual_machines.get(group, "other", **PLAIN).provisioning_state
compute.virtual_machines.begin_delete(group, "other", **PLAIN).result()
told["kept"] = refused(lambda: network.network_interfaces.begin_delete(group, "other-nic", **PLAIN).result())
json.dump(told, sys.stdout)

"""Holds calls of Compute Engine's API against Google's own models of it.

Standard input: a list of calls, each with verb, path, query and body as they came over the wire. Paths and queries are held
against the discovery document (in google-api-python-client), bodies against the messages of google-cloud-compute, which
refuse unknown names and wrong types. Writes a list of what is wrong; an empty one is good.
"""

import json
import re
import sys

from google.cloud import compute_v1
from googleapiclient.discovery_cache import get_static_doc

# Which message is the body of which method.
BODIES = {
    "instances.insert": compute_v1.Instance,
    "instances.setMetadata": compute_v1.Metadata,
    "instances.setLabels": compute_v1.InstancesSetLabelsRequest,
}


def methods():
    document = json.loads(get_static_doc("compute", "v1"))
    common = document["parameters"]
    for resource in ("instances", "zoneOperations"):
        for name, method in document["resources"][resource]["methods"].items():
            yield f"{resource}.{name}", method, common


def pattern(path):
    return re.compile(re.sub(r"\\{[^}]*\\}|\{[^}]*\}", "([^/]+)", path) + "$")


def check(call):
    prefix = "/compute/v1/"
    if not call["path"].startswith(prefix):
        return [f"{call['path']}: not below {prefix}"]
    path = call["path"][len(prefix):]
    found = [(name, method, common) for name, method, common in methods()
             if method["httpMethod"] == call["verb"] and pattern(method["path"]).match(path)]
    # instances/get and instances/aggregated fit one pattern each.
    if len(found) != 1:
        return [f"{call['verb']} {path}: {len(found)} methods"]
    name, method, common = found[0]
    if name != call["name"]:
        return [f"{path} is {name}, not {call['name']}"]
    return list(objections(name, method, common, path, call))


def objections(name, method, common, path, call):
    values = pattern(method["path"]).match(path).groups()
    for parameter, value in zip(re.findall(r"\{([^}]*)\}", method["path"]), values):
        wanted = method["parameters"][parameter].get("pattern")
        if wanted and not re.fullmatch(wanted, value):
            yield f"{name}: {parameter} is {value}, not {wanted}"
    for parameter, value in call["query"].items():
        known = method["parameters"].get(parameter) or common.get(parameter)
        if not known:
            yield f"{name}: unknown parameter {parameter}"
        elif known["type"] == "integer" and not value.isdigit():
            yield f"{name}: {parameter} is {value}"
    if ("request" in method) != (call["body"] is not None):
        yield f"{name}: a body where none is wanted, or none where one is"
    elif call["body"] is not None:
        message = BODIES[name]
        assert method["request"]["$ref"] == message.__name__, method["request"]
        try:
            read = message.from_json(json.dumps(call["body"]))
        except Exception as error:  # Whatever the parser raises is an objection.
            yield f"{name}: {error}"
        else:
            yield from lost(name, call["body"], json.loads(message.to_json(read, preserving_proto_field_name=False,
                                                                           use_integers_for_enums=False)))


def lost(name, sent, read):
    """What the parser has dropped: nothing that we say may be unheard."""
    if isinstance(sent, dict):
        for key, value in sent.items():
            if key not in read:
                # Empty maps and lists are not kept.
                if value not in ({}, []):
                    yield f"{name}: {key} is lost"
            else:
                yield from lost(f"{name}.{key}", value, read[key])
    elif isinstance(sent, list):
        for index, value in enumerate(sent):
            yield from lost(f"{name}[{index}]", value, read[index])
    elif str(sent) != str(read):
        yield f"{name}: {sent} became {read}"


def main():
    wrong = [objection for call in json.load(sys.stdin) for objection in check(call)]
    json.dump(wrong, sys.stdout)


main()

"""Compares calls with botocore's model of EC2's API.

Standard input: a list of calls, each a map of parameters (Action and Version among them). Each is read by the
model (names, types, required members, enumerations), checked by botocore's validator, written again by botocore's
serializer, and compared with what was given. Writes a list of what is wrong; an empty one is good.
"""

import base64
import json
import re
import sys

import botocore.session
from botocore.serialize import EC2Serializer
from botocore.validate import ParamValidator
from dateutil import parser as dates


class Wrong(Exception):
    pass


def wire_name(name, shape):
    """What a member is called in the query, as the EC2 protocol has it."""
    location = shape.serialization.get("name")
    return shape.serialization.get("queryName") or (location[:1].upper() + location[1:] if location else name)


def tree_of(parameters):
    """{"A.1.B": "x"} becomes {"A": {"1": {"B": "x"}}}."""
    tree = {}
    for name, value in parameters.items():
        *path, last = name.split(".")
        node = tree
        for word in path:
            node = node.setdefault(word, {})
            if not isinstance(node, dict):
                raise Wrong(f"{name}: both a value and a structure")
        node[last] = value
    return tree


def structure(tree, shape, path):
    if not isinstance(tree, dict):
        raise Wrong(f"{path}: a value where a structure is wanted")
    members = {wire_name(name, member): (name, member) for name, member in shape.members.items()}
    unknown = tree.keys() - members.keys()
    if unknown:
        raise Wrong(f"{path}: no such parameter: {sorted(unknown)}")
    return {members[key][0]: typed(value, members[key][1], f"{path}.{key}") for key, value in tree.items()}


def items(tree, shape, path):
    if not isinstance(tree, dict) or sorted(map(int, tree)) != list(range(1, len(tree) + 1)):
        raise Wrong(f"{path}: not a list numbered from 1")
    return [typed(tree[str(number)], shape.member, f"{path}.{number}") for number in range(1, len(tree) + 1)]


def boolean(text):
    return {"true": True, "false": False}[text]


SCALARS = {
    "boolean": boolean,
    "integer": int,
    "long": int,
    "double": float,
    "float": float,
    "blob": lambda text: base64.b64decode(text, validate=True),
    "timestamp": dates.isoparse,
    "string": str,
}


def typed(tree, shape, path):
    if shape.type_name == "structure":
        return structure(tree, shape, path)
    if shape.type_name == "list":
        return items(tree, shape, path)
    if not isinstance(tree, str):
        raise Wrong(f"{path}: a structure where a {shape.type_name} is wanted")
    try:
        value = SCALARS[shape.type_name](tree)
    except (KeyError, ValueError) as error:
        raise Wrong(f"{path}: {tree!r} is not a {shape.type_name} ({error!r})") from error
    allowed = getattr(shape, "enum", None)
    if allowed and value not in allowed:
        raise Wrong(f"{path}: {value!r} is not one of {len(allowed)} allowed values")
    return value


def same(ours, theirs):
    is_time = re.fullmatch(r"\d{4}-\d\d-\d\dT.*Z", ours or "")
    return dates.isoparse(ours) == dates.isoparse(theirs) if is_time else ours == theirs


def check(call, model):
    given = dict(call)
    action, version = given.pop("Action"), given.pop("Version")
    if version != model.api_version:
        raise Wrong(f"version {version}, the model is of {model.api_version}")
    operation = model.operation_model(action)
    arguments = structure(tree_of(given), operation.input_shape, action)
    report = ParamValidator().validate(arguments, operation.input_shape)
    if report.has_errors():
        raise Wrong(f"{action}: {report.generate_report()}")
    body = EC2Serializer().serialize_to_request(arguments, operation)["body"]
    theirs = {name: str(value) for name, value in body.items()}
    if theirs.keys() != call.keys():
        raise Wrong(f"{action}: other parameters than botocore's: {sorted(theirs.keys() ^ call.keys())}")
    different = sorted(name for name in call if not same(call[name], theirs[name]))
    if different:
        raise Wrong(f"{action}: other values than botocore's: {different}")


def main():
    model = botocore.session.get_session().get_service_model("ec2")
    wrong = []
    for call in json.load(sys.stdin):
        try:
            check(call, model)
        except Exception as error:
            wrong.append(f"{type(error).__name__}: {error}")
    json.dump(wrong, sys.stdout)


main()

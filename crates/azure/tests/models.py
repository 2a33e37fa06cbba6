"""Compares bodies with Microsoft's models of Azure's API.

Standard input: a list of {"kind": …, "body": …}. Each body is walked with the model of its kind: unknown names, wrong types,
words that are none of an enumeration's, what is required and absent, and what only the server may say. Writes a map from
the model's version to what it has against each body. With azure-mgmt-compute 30 there is a model of each version of the
API; newer packages have one version each, in models of another make.
"""

import enum
import importlib
import json
import os
import sys
import types
import typing

KINDS = {
    "virtualMachine": ("azure.mgmt.compute", "VirtualMachine"),
    "networkInterface": ("azure.mgmt.network", "NetworkInterface"),
    "tags": ("azure.mgmt.resource.resources", "TagsPatchResource"),
}
PLAIN = {"str": str, "int": int, "float": (int, float), "bool": bool}


def is_plain(value, kind):
    """Whether a value is of a plain type; True is no number."""
    return isinstance(value, kind) and (kind is bool or not isinstance(value, bool))


def older(value, kind, models, path):
    """What an older model, of msrest's make, has against a value."""
    if kind in PLAIN:
        return [] if is_plain(value, PLAIN[kind]) else [f"{path}: no {kind}"]
    if kind.startswith("["):
        if not isinstance(value, list):
            return [f"{path}: no list"]
        return [it for index, item in enumerate(value) for it in older(item, kind[1:-1], models, f"{path}[{index}]")]
    if kind.startswith("{"):
        if not isinstance(value, dict):
            return [f"{path}: no map"]
        return [it for key, item in value.items() for it in older(item, kind[1:-1], models, f"{path}.{key}")]
    model = getattr(models, kind, None)
    if not hasattr(model, "_attribute_map"):
        return [f"{path}: {kind} is not looked at"]
    if not isinstance(value, dict):
        return [f"{path}: no {kind}"]
    # What stands as `properties.a` is flattened in the model, and nested on the wire.
    tree = {}
    for name, attribute in model._attribute_map.items():
        place = tree
        *outer, last = attribute["key"].replace("\\.", "\0").split(".")
        for key in outer:
            place = place.setdefault(key, {})
        rules = getattr(model, "_validation", {}).get(name, {})
        place[last] = (attribute["type"], rules)
    return older_map(value, tree, models, path)


def older_map(value, tree, models, path):
    if not isinstance(value, dict):
        return [f"{path}: no map"]
    found = [f"{path}.{key}: unknown" for key in value if key not in tree]
    for key, known in tree.items():
        at = f"{path}.{key}"
        if isinstance(known, dict):
            found += older_map(value.get(key, {}), known, models, at)
            continue
        kind, rules = known
        if key not in value:
            found += [f"{at}: missing"] if rules.get("required") else []
        elif rules.get("readonly"):
            found.append(f"{at}: only the server says it")
        else:
            found += older(value[key], kind, models, at)
    return found


def newer(value, kind, models, path):
    """What a newer model has against a value; `kind` is a type hint."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if kind is typing.Any:
        return []
    if origin in (typing.Union, types.UnionType):
        enums = [it for it in arguments if isinstance(it, type) and issubclass(it, enum.Enum)]
        if enums:
            words = {member.value for it in enums for member in it}
            return [] if value in words else [f"{path}: `{value}` is none of {sorted(words)}"]
        return min((newer(value, it, models, path) for it in arguments), key=len)
    if origin is list:
        if not isinstance(value, list):
            return [f"{path}: no list"]
        return [it for index, item in enumerate(value) for it in newer(item, arguments[0], models, f"{path}[{index}]")]
    if origin is dict:
        if not isinstance(value, dict):
            return [f"{path}: no map"]
        return [it for key, item in value.items() for it in newer(item, arguments[1], models, f"{path}.{key}")]
    if kind is type(None):
        return [] if value is None else [f"{path}: something"]
    if kind in (str, int, float, bool):
        wanted = (int, float) if kind is float else kind
        return [] if is_plain(value, wanted) else [f"{path}: no {kind.__name__}"]
    if not isinstance(kind, type) or not hasattr(kind, "_is_model"):
        return [f"{path}: {kind} is not looked at"]
    if not isinstance(value, dict):
        return [f"{path}: no {kind.__name__}"]
    fields = kind({})._attr_to_rest_field
    hints = {}
    for base in reversed(kind.__mro__):
        if "__annotations__" in base.__dict__:
            names = {**vars(typing), **vars(sys.modules[base.__module__]), **vars(models), "_models": models}
            hints.update(typing.get_type_hints(base, names))
    known = {field._rest_name: (name, field) for name, field in fields.items()}
    found = []
    for key, item in value.items():
        at = f"{path}.{key}"
        if key not in known:
            found.append(f"{at}: unknown")
        elif known[key][1]._visibility == ["read"]:
            found.append(f"{at}: only the server says it")
        else:
            found += newer(item, hints[known[key][0]], models, at)
    return found


def versions(package):
    """Each version's name and its models."""
    module = importlib.import_module(package)
    folder = os.path.dirname(module.__file__)
    for name in sorted(os.listdir(folder)):
        if name.startswith("v20"):
            yield name[1:].replace("_", "-"), importlib.import_module(f"{package}.{name}.models")
    if not any(name.startswith("v20") for name in os.listdir(folder)):
        yield "now", importlib.import_module(f"{package}.models")


def main():
    found = {}
    for index, given in enumerate(json.load(sys.stdin)):
        package, name = KINDS[given["kind"]]
        try:
            importlib.import_module(package)
        except ImportError:
            # It is in the other package's environment.
            continue
        for version, models in versions(package):
            model = getattr(models, name, None)
            if model is None:
                continue
            walk = older if hasattr(model, "_attribute_map") else newer
            kind = name if walk is older else model
            objections = walk(given["body"], kind, models, given["kind"])
            found.setdefault(version, {})[str(index)] = objections
    json.dump(found, sys.stdout)


main()

"""Where botocore calls EC2: every region that it knows, with and without FIPS and dual stack.

Writes a list of [region, fips, dual_stack, url].
"""

import json
import sys

import botocore.session
from botocore.endpoint_provider import EndpointProvider


def urls(session):
    loader = session.get_component("data_loader")
    partitions = loader.load_data("partitions")
    rules = loader.load_service_model("ec2", "endpoint-rule-set-1")
    provider = EndpointProvider(rules, partitions)
    for partition in partitions["partitions"]:
        for region in partition["regions"]:
            if region.endswith("-global"):
                continue
            for fips in (False, True):
                for dual_stack in (False, True):
                    found = provider.resolve_endpoint(Region=region, UseFIPS=fips, UseDualStack=dual_stack)
                    yield region, fips, dual_stack, found.url


json.dump(list(urls(botocore.session.get_session())), sys.stdout)

"""moto, an emulator of EC2, for tests: served on a port of its own until standard input ends.

Writes one line of JSON when it is ready (endpoint, image, subnets, security_group), then answers one line of
JSON for each: {"call": "describe_instances", "arguments": {...}} by boto3, that is, by Amazon's own client.
"""

import json
import logging
import sys

import boto3
from moto.ec2.exceptions import EC2ClientError, InvalidInstanceIdError
from moto.ec2.models import EC2Backend
from moto.server import ThreadedMotoServer

logging.getLogger("werkzeug").setLevel(logging.CRITICAL)
ZONES = ("us-east-1a", "us-east-1b")


def remember_tokens():
    """moto takes a ClientToken and makes an instance for each call; EC2 makes one for each token, and refuses a
    token that comes with other parameters."""
    make, made = EC2Backend.run_instances, {}

    def run_instances(backend, image_id, count, user_data, groups, **others):
        order = repr((image_id, count, user_data, groups, sorted(others.items())))
        first = made.get(others["client_token"])
        if first is None:
            first = (order, make(backend, image_id, count, user_data, groups, **others))
            made[others["client_token"]] = first
        if first[0] != order:
            text = "Arguments on this idempotent request are inconsistent with arguments used in previous request(s)."
            raise EC2ClientError("IdempotentParameterMismatch", text)
        return first[1]

    EC2Backend.run_instances = run_instances


def forget_the_ended():
    """moto accepts tags for ended instances for ever; EC2 does so for about an hour. Here it is refused at once."""
    exist = EC2Backend.do_resources_exist

    def do_resources_exist(backend, ids):
        ended = [it.id for it in backend.all_instances() if it.id in ids and it.state == "terminated"]
        if ended:
            raise InvalidInstanceIdError(ended)
        return exist(backend, ids)

    EC2Backend.do_resources_exist = do_resources_exist


def serve(address, port):
    server = ThreadedMotoServer(ip_address=address, port=port, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    return f"http://{host}:{port}"


def client_of(endpoint):
    return boto3.client(
        "ec2",
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id="testing",
        aws_secret_access_key="testing",
    )


def furnish(ec2):
    """A network of two subnets, a security group, and an image."""
    vpc = ec2.create_vpc(CidrBlock="10.1.0.0/16")["Vpc"]["VpcId"]
    subnets = [
        ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.1.{number}.0/24", AvailabilityZone=zone)["Subnet"]["SubnetId"]
        for number, zone in enumerate(ZONES, 1)
    ]
    group = ec2.create_security_group(VpcId=vpc, GroupName="workers", Description="workers")["GroupId"]
    image = ec2.describe_images(Owners=["amazon"])["Images"][0]["ImageId"]
    return {"image": image, "subnets": subnets, "security_group": group}


def answer(ec2, order):
    try:
        result = getattr(ec2, order["call"])(**order["arguments"])
        result.pop("ResponseMetadata", None)
        return {"result": result}
    except Exception as error:  # told to the test, which fails by it
        return {"error": f"{type(error).__name__}: {error}"}


def main():
    remember_tokens()
    forget_the_ended()
    endpoint = serve(sys.argv[1], int(sys.argv[2]))
    ec2 = client_of(endpoint)
    print(json.dumps({"endpoint": endpoint, **furnish(ec2)}), flush=True)
    for line in sys.stdin:
        print(json.dumps(answer(ec2, json.loads(line)), default=str), flush=True)


main()

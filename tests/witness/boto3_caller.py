"""boto3 on a string: calls what it is told to call, and tells what came of it.

Reads a JSON object a line from standard input, `{"service": "iot", "operation": "describe_thing",
"parameters": {…}}`, makes that call, and prints one JSON object a line: `{"result": {…}}`, or `{"error": CODE,
"status": HTTP STATUS, "message": TEXT, "members": {…}}` where the service refused, or `{"broken": TEXT}` where
boto3 could not make sense of the call or of the answer. Every page of an operation that lists is fetched when
the request says `"all": KEY`; the result is then `{KEY: […], "pages": N}`. Ends at the end of its input.
"""

import base64
import json
import os
import sys
from datetime import datetime

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.response import StreamingBody


def plain(value):
    """What JSON has no form for."""
    if isinstance(value, datetime):
        return value.timestamp()
    if isinstance(value, StreamingBody):
        value = value.read()
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return {"base64": base64.b64encode(value).decode()}
    raise TypeError(type(value).__name__)


def call(clients, request):
    client = clients[request["service"]]
    parameters = request.get("parameters", {})
    if key := request.get("all"):
        pages = list(client.get_paginator(request["operation"]).paginate(**parameters))
        return {key: [item for page in pages for item in page[key]], "pages": len(pages)}
    answer = getattr(client, request["operation"])(**parameters)
    answer.pop("ResponseMetadata")
    return answer


def main():
    # One attempt: what is refused is to be seen, not tried again.
    config = Config(retries={"total_max_attempts": 1}, connect_timeout=20, read_timeout=90)
    options = {
        "region_name": "eu-west-1",
        "endpoint_url": os.environ["AWS_ENDPOINT_URL"],
        "aws_access_key_id": "any",
        "aws_secret_access_key": "any",
        "config": config,
    }
    clients = {service: boto3.client(service, **options) for service in ("iot", "iot-data")}
    for line in sys.stdin:
        try:
            answer = {"result": call(clients, json.loads(line))}
        except ClientError as error:
            members = {key: value for key, value in error.response.items() if key not in ("Error", "ResponseMetadata")}
            answer = {
                "error": error.response["Error"]["Code"],
                "message": error.response["Error"]["Message"],
                "status": error.response["ResponseMetadata"]["HTTPStatusCode"],
                "members": members,
            }
        except (BotoCoreError, KeyError, ValueError, AttributeError) as error:
            answer = {"broken": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer, default=plain), flush=True)


if __name__ == "__main__":
    main()

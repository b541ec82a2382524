"""The device of AWS's article on fleet provisioning: its Python, with the first AWS IoT Device SDK.

What the article prints stands here as printed, the port filled in; what it leaves to the reader is between it. What
it was answered is printed, a JSON object a line, `{"step": NAME, …}`; the test that started it judges.
"""

import argparse
import json
import queue
import sys

from AWSIoTPythonSDK.MQTTLib import AWSIoTMQTTClient


class ProvisioningHandler:
    def __init__(self, arguments):
        self.iot_endpoint = "localhost"
        self.port = arguments.port
        self.root_cert = arguments.ca
        self.secure_key = arguments.key
        self.claim_cert = arguments.cert
        self.template = arguments.template
        self.messages = queue.Queue()
        self.primary_MQTTClient = AWSIoTMQTTClient("claim-of-the-article")
        self.primary_MQTTClient.onMessage = self.on_message_callback

    def on_message_callback(self, message):
        # inspect message.payload
        self.messages.put((message.topic, json.loads(message.payload)))

    def connect(self):
        self.primary_MQTTClient.configureEndpoint(self.iot_endpoint, self.port)
        self.primary_MQTTClient.configureCredentials(self.root_cert, self.secure_key, self.claim_cert)
        self.primary_MQTTClient.configureMQTTOperationTimeout(3)
        self.primary_MQTTClient.connect()

    def enable_error_and_success_topics(self):
        for topic in (
            "$aws/certificates/create/json",
            f"$aws/provisioning-templates/{self.template}/provision/json",
        ):
            for answer in ("accepted", "rejected"):
                # Without a callback of its own: the article's is the client's.
                self.primary_MQTTClient.subscribe(f"{topic}/{answer}", 1, None)

    def create(self):
        # Make a publish call to topic to get official certs
        self.primary_MQTTClient.publish("$aws/certificates/create/json", "{}", 0)
        return self.messages.get(timeout=20)

    def register(self, token, serial, someAttribute):
        # Pack up the token, and any relevant device attributes.
        register_template = {"certificateOwnershipToken": token,
            "parameters": {"serialNumber": serial, "customAttribute": someAttribute}}
        # Publish payload to second provisioning topic and include desired template name.
        self.primary_MQTTClient.publish(
            f"$aws/provisioning-templates/{self.template}/provision/json", json.dumps(register_template), 0)
        return self.messages.get(timeout=20)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", required=True, type=int)
    parser.add_argument("--template", required=True)
    for file in ("--ca", "--cert", "--key"):
        parser.add_argument(file, required=True)
    handler = ProvisioningHandler(parser.parse_args())
    try:
        handler.connect()
        handler.enable_error_and_success_topics()
        topic, created = handler.create()
        print(json.dumps({"step": "created", "topic": topic, "members": sorted(created)}), flush=True)
        topic, registered = handler.register(created["certificateOwnershipToken"], "P3-00041", "hall-b")
        print(json.dumps({"step": "registered", "topic": topic, **registered}), flush=True)
        handler.primary_MQTTClient.disconnect()
    except Exception as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()

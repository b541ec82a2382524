"""A device built with the AWS IoT Device SDK v2 for Python, as a witness of a running sandbox.

It lives a device's life: provisions with the claim certificate, connects with what it was given, publishes,
receives, tries what its policy forbids, and, with `--until-cut-off`, stays until it is disconnected and then
tries to come back. Each step that is done is one line of JSON on standard output, `{"step": NAME, …}`, with
what the SDK told; the test that started it judges. It ends with 0 when it got through, with 1 and one line
on standard error when it did not.

`device.js` beside it does the same with the SDK for JavaScript and prints the same steps.
"""

import argparse
import contextlib
import json
import os
import queue
import sys
import threading
import time
from pathlib import Path

from awscrt import mqtt, mqtt5, mqtt_request_response
from awsiot import V2ServiceException, iotidentity, mqtt5_client_builder, mqtt_connection_builder

QOS = mqtt.QoS.AT_LEAST_ONCE
QOS5 = mqtt5.QoS.AT_LEAST_ONCE


def tell(step, **facts):
    print(json.dumps({"step": step, **facts}), flush=True)


def address_and_identity(arguments, client_id, certificate, key):
    """What the SDK's builders of both MQTT versions want to know."""
    return {
        "endpoint": arguments.endpoint,
        "port": arguments.port,
        "ca_filepath": arguments.ca,
        "cert_filepath": certificate,
        "pri_key_filepath": key,
        "client_id": client_id,
    }


class Link311:
    """A connection with MQTT 3.1.1."""

    def __init__(self, arguments, client_id, certificate, key):
        self.within = arguments.within
        self.lost = queue.Queue()
        self.messages = queue.Queue()
        self.connection = mqtt_connection_builder.mtls_from_path(
            **address_and_identity(arguments, client_id, certificate, key),
            clean_session=True,
            keep_alive_secs=60,
            # What is refused is to be seen once, not again after a reconnect.
            reconnect_min_timeout_secs=3600,
            reconnect_max_timeout_secs=3600,
            on_connection_interrupted=self._interrupted,
        )
        self.hung_up = False

    def _interrupted(self, connection, error, **_):
        self.hung_up = True
        self.lost.put({"error": str(error)})

    def open(self):
        answer = self.connection.connect().result(self.within)
        return {"session_present": answer["session_present"]}

    def publish(self, topic, payload):
        done, _ = self.connection.publish(topic, payload, QOS)
        done.result(self.within)
        return {"acknowledged": True}

    def publish_refused(self, topic, payload):
        """Publishes what must not pass: the broker hangs up, and no acknowledgement ever comes."""
        done, _ = self.connection.publish(topic, payload, QOS)
        lost = self.lost.get(timeout=self.within)
        return {"acknowledged": done.done() and done.exception() is None, "hung_up": True, **lost}

    def subscribe(self, topic_filter):
        done, _ = self.connection.subscribe(topic_filter, QOS, self._received)
        return {"granted": int(done.result(self.within)["qos"])}

    def subscribe_refused(self, topic_filter):
        """Subscribes to what must not be seen: a hang-up, and no SUBACK."""
        done, _ = self.connection.subscribe(topic_filter, QOS, self._received)
        lost = self.lost.get(timeout=self.within)
        return {"acknowledged": done.done() and done.exception() is None, "hung_up": True, **lost}

    def _received(self, topic, payload, **_):
        self.messages.put({"topic": topic, "payload": payload.decode()})

    def close(self):
        done = self.connection.disconnect()
        # After a hang-up it would come only with the next attempt to reconnect.
        if not self.hung_up:
            done.result(self.within)

    def identity_client(self):
        return IdentityV1(self)


class Link5:
    """A connection with MQTT 5."""

    def __init__(self, arguments, client_id, certificate, key):
        self.within = arguments.within
        self.lost = queue.Queue()
        self.messages = queue.Queue()
        self.opened = queue.Queue()
        self.stopped = threading.Event()
        self.client = mqtt5_client_builder.mtls_from_path(
            **address_and_identity(arguments, client_id, certificate, key),
            keep_alive_interval_sec=60,
            min_reconnect_delay_ms=3_600_000,
            max_reconnect_delay_ms=3_600_000,
            on_lifecycle_connection_success=lambda data: self.opened.put(data.connack_packet),
            on_lifecycle_connection_failure=self._failed,
            on_lifecycle_disconnection=self._disconnected,
            on_lifecycle_stopped=lambda data: self.stopped.set(),
            on_publish_received=self._received,
        )

    def open(self):
        self.client.start()
        answer = self.opened.get(timeout=self.within)
        if isinstance(answer, Exception):
            raise answer
        return {
            "reason": int(answer.reason_code),
            "session_present": answer.session_present,
            "maximum_qos": int(answer.maximum_qos) if answer.maximum_qos is not None else None,
            "retain_available": answer.retain_available,
            "topic_alias_maximum": answer.topic_alias_maximum,
            "receive_maximum": answer.receive_maximum,
            "server_keep_alive": answer.server_keep_alive_sec,
            "subscription_identifiers_available": answer.subscription_identifiers_available,
        }

    def _failed(self, data):
        reason = int(data.connack_packet.reason_code) if data.connack_packet else None
        error = ConnectionError(str(data.exception))
        error.reason = reason
        self.opened.put(error)

    def _disconnected(self, data):
        packet = data.disconnect_packet
        self.lost.put({"error": str(data.exception), "reason": int(packet.reason_code) if packet else None})

    def _received(self, data):
        packet = data.publish_packet
        self.messages.put({"topic": packet.topic, "payload": packet.payload.decode()})

    def publish(self, topic, payload):
        packet = mqtt5.PublishPacket(topic=topic, payload=payload, qos=QOS5)
        answer = self.client.publish(packet).result(self.within)
        return {"acknowledged": True, "reason": int(answer.puback.reason_code)}

    def publish_refused(self, topic, payload):
        """Publishes what must not pass: the PUBACK says so, and the connection stays."""
        facts = self.publish(topic, payload)
        return {**facts, "hung_up": not self.lost.empty()}

    def subscribe(self, topic_filter):
        packet = mqtt5.SubscribePacket([mqtt5.Subscription(topic_filter, QOS5)])
        codes = self.client.subscribe(packet).result(self.within).reason_codes
        return {"granted": int(codes[0])}

    def subscribe_refused(self, topic_filter):
        """Subscribes to what must not be seen: the SUBACK says so, and the connection stays."""
        facts = self.subscribe(topic_filter)
        return {"acknowledged": True, "reason": facts["granted"], "hung_up": not self.lost.empty()}

    def close(self):
        self.client.stop()
        if not self.stopped.wait(self.within):
            raise TimeoutError("the MQTT 5 client does not stop")

    def identity_client(self):
        return IdentityV2(self)


class Refused(Exception):
    """The service answered on a rejected topic."""

    def __init__(self, answer):
        super().__init__(f"{answer.error_code}: {answer.error_message}")
        self.facts = {
            "status_code": answer.status_code,
            "error_code": answer.error_code,
            "error_message": answer.error_message,
        }


class IdentityV1:
    """The first identity client: subscriptions and a publish, each by itself."""

    def __init__(self, link):
        self.within = link.within
        self.client = iotidentity.IotIdentityClient(link.connection)

    def _ask(self, operation, request, subscription):
        answers = queue.Queue()
        for answer in ("accepted", "rejected"):
            subscribe = getattr(self.client, f"subscribe_to_{operation}_{answer}")
            subscribe(subscription, QOS, answers.put)[0].result(self.within)
        getattr(self.client, f"publish_{operation}")(request, QOS).result(self.within)
        answer = answers.get(timeout=self.within)
        if isinstance(answer, iotidentity.ErrorResponse):
            raise Refused(answer)
        return answer

    def create_keys(self):
        return self._ask(
            "create_keys_and_certificate",
            iotidentity.CreateKeysAndCertificateRequest(),
            iotidentity.CreateKeysAndCertificateSubscriptionRequest(),
        )

    def create_from_csr(self, csr):
        return self._ask(
            "create_certificate_from_csr",
            iotidentity.CreateCertificateFromCsrRequest(certificate_signing_request=csr),
            iotidentity.CreateCertificateFromCsrSubscriptionRequest(),
        )

    def register(self, template, token, parameters):
        return self._ask(
            "register_thing",
            iotidentity.RegisterThingRequest(
                template_name=template, certificate_ownership_token=token, parameters=parameters
            ),
            iotidentity.RegisterThingSubscriptionRequest(template_name=template),
        )


class IdentityV2:
    """The second identity client: request and response, the subscriptions are its own."""

    def __init__(self, link):
        self.within = link.within
        options = mqtt_request_response.ClientOptions(
            max_request_response_subscriptions=4, max_streaming_subscriptions=0, operation_timeout_in_seconds=30
        )
        self.client = iotidentity.IotIdentityClientV2(link.client, options)

    def _ask(self, operation, request):
        try:
            return getattr(self.client, operation)(request).result(self.within)
        except V2ServiceException as error:
            if error.modeled_error is not None:
                raise Refused(error.modeled_error) from error
            raise RuntimeError(f"{error.message}: {error.inner_error}") from error

    def create_keys(self):
        return self._ask("create_keys_and_certificate", iotidentity.CreateKeysAndCertificateRequest())

    def create_from_csr(self, csr):
        request = iotidentity.CreateCertificateFromCsrRequest(certificate_signing_request=csr)
        return self._ask("create_certificate_from_csr", request)

    def register(self, template, token, parameters):
        request = iotidentity.RegisterThingRequest(
            template_name=template, certificate_ownership_token=token, parameters=parameters
        )
        return self._ask("register_thing", request)


def open_link(arguments, client_id, certificate, key):
    kind = {"3.1.1": Link311, "5": Link5}[arguments.mqtt]
    return kind(arguments, client_id, certificate, key)


def connected(arguments, client_id, certificate, key, trying_for):
    """A connected link and what CONNACK said.

    AWS takes one CONNECT a second of a client id, so a device that has just been connected has to try again.
    """
    until = time.monotonic() + trying_for
    while True:
        link = open_link(arguments, client_id, certificate, key)
        try:
            return link, link.open()
        except Exception:
            # Else it may get through later, and take the client id from the one that is to stay.
            with contextlib.suppress(Exception):
                link.close()
            if time.monotonic() > until:
                raise
        time.sleep(0.2)


def provision(arguments):
    """The Thing's name and the files of the new certificate and its key."""
    link = open_link(arguments, f"claim-{arguments.serial}", arguments.cert, arguments.key)
    tell("claim-connected", **link.open())
    identity = link.identity_client()
    out = Path(arguments.out)
    key = out / f"{arguments.serial}.key"
    if arguments.csr:
        created = identity.create_from_csr(Path(arguments.csr).read_text())
        key = Path(arguments.csr_key)
    else:
        created = identity.create_keys()
        with open(os.open(key, os.O_WRONLY | os.O_CREAT, 0o600), "w") as file:
            file.write(created.private_key)
    certificate = out / f"{arguments.serial}.pem"
    certificate.write_text(created.certificate_pem)
    tell("created", certificate_id=created.certificate_id, certificate=str(certificate), key=str(key))

    parameters = json.loads(arguments.parameters)
    try:
        identity.register(arguments.template, "not-a-token", parameters)
    except Refused as refused:
        tell("token-refused", **refused.facts)
    registered = identity.register(arguments.template, created.certificate_ownership_token, parameters)
    tell("registered", thing=registered.thing_name, device_configuration=registered.device_configuration)
    link.close()
    return registered.thing_name, str(certificate), str(key)


def live(arguments, thing, certificate, key):
    link, facts = connected(arguments, thing, certificate, key, arguments.within)
    tell("connected", **facts)
    if arguments.stop_after == "connected":
        link.close()
        try:
            connected(arguments, "another-thing", certificate, key, 0.0)
            tell("other-name", refused=False)
        except Exception as error:
            tell("other-name", refused=True, error=str(error), reason=getattr(error, "reason", None))
        return
    tell("subscribed", filter=f"{thing}/commands", **link.subscribe(f"{thing}/commands"))
    tell("published", topic=thing, **link.publish(thing, json.dumps({"temperature": 25.5})))
    tell("received", **link.messages.get(timeout=link.within))
    link.close()
    if arguments.stop_after == "received":
        return

    # On links of their own: with MQTT 3.1.1 each ends with a hang-up.
    for step, act in (
        ("publish-refused", lambda link: link.publish_refused("another-thing", "{}")),
        ("subscribe-refused", lambda link: link.subscribe_refused("another-thing/commands")),
    ):
        link, _ = connected(arguments, thing, certificate, key, arguments.within)
        tell(step, **act(link))
        link.close()


def until_cut_off(arguments, thing, certificate, key):
    link, facts = connected(arguments, thing, certificate, key, arguments.within)
    tell("staying", **facts)
    tell("cut-off", **link.lost.get(timeout=link.within))
    link.close()
    try:
        # Longer than the second in which it would be too soon for any device.
        _, facts = connected(arguments, thing, certificate, key, 2.0)
        tell("back-again", **facts)
    except Exception as error:
        tell("shut-out", error=str(error), reason=getattr(error, "reason", None))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--endpoint", default="localhost")
    parser.add_argument("--port", required=True, type=int)
    parser.add_argument("--ca", required=True, help="what the server's certificate stands under")
    parser.add_argument("--cert", required=True, help="claim certificate")
    parser.add_argument("--key", required=True, help="its private key")
    parser.add_argument("--mqtt", required=True, choices=["3.1.1", "5"])
    parser.add_argument("--template", required=True, help="provisioning template")
    parser.add_argument("--serial", required=True, help="names the claim's client id and the files made")
    parser.add_argument("--parameters", required=True, help="of the template, a JSON object")
    parser.add_argument("--csr", help="ask for a certificate for this request rather than for a key")
    parser.add_argument("--csr-key", help="the request's private key")
    parser.add_argument("--out", required=True, help="folder for the new certificate and key")
    parser.add_argument(
        "--stop-after", choices=["registered", "connected", "received"], help="end a life that has less to it"
    )
    parser.add_argument("--until-cut-off", action="store_true", help="stay until disconnected, then come back")
    parser.add_argument("--within", default=30.0, type=float, help="longest wait for one thing, in seconds")
    arguments = parser.parse_args()
    try:
        identity = provision(arguments)
        if arguments.stop_after != "registered":
            live(arguments, *identity)
        if arguments.until_cut_off:
            until_cut_off(arguments, *identity)
    except Exception as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
        os._exit(1)
    # What the SDK keeps open is not waited for.
    os._exit(0)


if __name__ == "__main__":
    main()

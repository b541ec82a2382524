"""paho-mqtt and cbor2 on a string: MQTT clients that do what they are told, step by step.

Reads a JSON object a line from standard input, `{"do": "connect", "name": NAME, …}`, does it, and prints one
JSON object a line: what came of it, or `{"broken": TEXT}` where paho could not do it or nothing came in time.
What else can be done with a connection, by the name it was given, is in `DOINGS`. Payloads are texts, or, under
`cbor` in place of `payload`, values that cbor2 writes and reads. Ends at the end of its input.
"""

import argparse
import json
import queue
import sys

import cbor2
from paho.mqtt import client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

QOS = 1


class Client:
    """One connection, and what came over it."""

    def __init__(self, address, request):
        self.within = address.within
        self.five = request["mqtt"] == "5"
        self.answers = queue.Queue()
        self.acknowledged = queue.Queue()
        self.granted = queue.Queue()
        self.messages = queue.Queue()
        self.lost = queue.Queue()
        self.paho = mqtt.Client(
            mqtt.CallbackAPIVersion.VERSION2,
            client_id=request["client"],
            clean_session=None if self.five else request["clean"],
            protocol=mqtt.MQTTv5 if self.five else mqtt.MQTTv311,
            # What is refused or lost is to be seen, not tried again.
            reconnect_on_failure=False,
        )
        self.paho.tls_set(address.ca, request["certificate"], request["key"])
        self.paho.on_connect = self._connected
        self.paho.on_disconnect = self._disconnected
        self.paho.on_subscribe = lambda client, data, mid, codes, properties: self.granted.put(codes)
        self.paho.on_publish = lambda client, data, mid, code, properties: self.acknowledged.put(code)
        self.paho.on_message = lambda client, data, message: self.messages.put(message)
        options = {}
        if self.five:
            options["clean_start"] = request["clean"]
            options["properties"] = Properties(PacketTypes.CONNECT)
            if request.get("expiry") is not None:
                options["properties"].SessionExpiryInterval = request["expiry"]
        try:
            self.paho.connect("localhost", address.port, keepalive=60, **options)
        except OSError as error:
            # In the handshake, of which TLS errors are a part.
            self.answers.put({"hung_up": True, "error": str(error)})
        else:
            self.paho.loop_start()

    def _connected(self, client, data, flags, code, properties):
        self.answers.put({"session_present": flags.session_present, "reason": code.value})

    def _disconnected(self, client, data, flags, code, properties):
        facts = {"by_server": flags.is_disconnect_packet_from_server, "reason": code.value}
        self.lost.put(facts)
        # The answer to a connection that ends without CONNACK; to another one nobody asks for it.
        self.answers.put({"hung_up": True, **facts})

    def answer(self):
        return self.answers.get(timeout=self.within)

    def subscribe(self, request):
        self.paho.subscribe(request["filter"], QOS)
        return {"granted": self.granted.get(timeout=self.within)[0].value}

    def publish(self, request):
        payload = cbor2.dumps(request["cbor"]) if "cbor" in request else request["payload"]
        self.paho.publish(request["topic"], payload, QOS)
        return {"reason": self.acknowledged.get(timeout=self.within).value}

    def next(self, request):
        message = self.messages.get(timeout=self.within)
        facts = {"topic": message.topic, "qos": message.qos, "retain": message.retain, "duplicate": message.dup}
        if request["as"] == "cbor":
            return {**facts, "cbor": cbor2.loads(message.payload)}
        return {**facts, "payload": message.payload.decode()}

    def wait_until_lost(self, request):
        return self.lost.get(timeout=self.within)

    def disconnect(self, request):
        self.paho.disconnect()
        return self.lost.get(timeout=self.within)


DOINGS = {
    "subscribe": Client.subscribe,
    "publish": Client.publish,
    "next": Client.next,
    "wait_until_lost": Client.wait_until_lost,
    "disconnect": Client.disconnect,
}


def do(address, clients, request):
    name = request["name"]
    if request["do"] == "connect":
        # The one that had this name goes on for itself: that is how a client id is taken over.
        clients[name] = Client(address, request)
        return clients[name].answer()
    return DOINGS[request["do"]](clients[name], request)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", required=True, type=int)
    parser.add_argument("--ca", required=True, help="what the server's certificate stands under")
    parser.add_argument("--within", default=30.0, type=float, help="longest wait for one thing, in seconds")
    address = parser.parse_args()
    clients = {}
    for line in sys.stdin:
        try:
            answer = json.dumps(do(address, clients, json.loads(line)))
        except Exception as error:
            answer = json.dumps({"broken": f"{type(error).__name__}: {error}"})
        print(answer, flush=True)


if __name__ == "__main__":
    main()

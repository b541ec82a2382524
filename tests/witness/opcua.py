"""An OPC UA client nobody here wrote, as a witness of a running Aether.

Connects without security, browses from Objects to one variable, reads it with its attributes,
subscribes to it, writes it, and waits for the notification of what it wrote. What it saw is printed
as one JSON object; the test that started it judges. It ends with 0 when it got through, with 1 and
one line on standard error when it did not.
"""

import argparse
import asyncio
import json
import sys

from asyncua import Client, ua


async def connect(url, deadline):
    """A connected client; tries again until the deadline, for the server may still be starting."""
    loop = asyncio.get_running_loop()
    while True:
        client = Client(url, timeout=5)
        try:
            await client.connect()
            return client
        except (OSError, asyncio.TimeoutError) as error:
            if loop.time() > deadline:
                raise TimeoutError(f"no OPC UA server at {url}: {error!r}") from error
            await asyncio.sleep(0.1)


async def browse_to(client, wanted, depth=4):
    """The browse names from Objects down to the node, found by following references only."""
    server = ua.NodeId(ua.ObjectIds.Server)
    level = [(client.nodes.objects, ())]
    for _ in range(depth):
        below = []
        for node, path in level:
            for child in await node.get_children():
                if child.nodeid == server:
                    continue
                name = await child.read_browse_name()
                here = (*path, name.Name)
                if child.nodeid == wanted:
                    return child, here
                below.append((child, here))
        level = below
    raise LookupError(f"{wanted.to_string()} was not found below Objects")


class Notifications:
    """Puts each notified value into a queue."""

    def __init__(self):
        self.values = asyncio.Queue()

    def datachange_notification(self, node, value, data):
        self.values.put_nowait(value)


async def until(queue, wanted, within):
    """What came out of the queue up to and with the wanted value."""
    seen = []
    try:
        while not seen or seen[-1] != wanted:
            seen.append(await asyncio.wait_for(queue.get(), within))
    except asyncio.TimeoutError as error:
        raise TimeoutError(f"no notification of {wanted}, only of {seen}") from error
    return seen


async def refusal(node, value):
    """The name of the StatusCode that a write is refused with; None when it is let through."""
    try:
        await node.write_value(value)
    except ua.UaStatusCodeError as error:
        return ua.status_codes.get_name_and_doc(error.code)[0]
    return None


async def witness(arguments):
    loop = asyncio.get_running_loop()
    wanted = ua.NodeId.from_string(arguments.node)
    client = await connect(arguments.url, loop.time() + arguments.within)
    try:
        node, path = await browse_to(client, wanted)
        value = await node.read_data_value()
        description = await node.read_description()
        report = {
            "path": path,
            "node_class": (await node.read_node_class()).name,
            "description": description.Text,
            "data_type": (await node.read_data_type()).to_string(),
            "variant_type": value.Value.VariantType.name,
            "access_level": sorted(one.name for one in await node.get_access_level()),
            "user_access_level": sorted(one.name for one in await node.get_user_access_level()),
            "value": value.Value.Value,
            "status": value.StatusCode.name,
            "has_source_timestamp": value.SourceTimestamp is not None,
        }
        handler = Notifications()
        subscription = await client.create_subscription(50, handler)
        await subscription.subscribe_data_change(node)
        report["first_notification"] = (await until(handler.values, value.Value.Value, arguments.within))[-1]
        report["refused_text"] = await refusal(node, "warm")
        await node.write_value(arguments.write)
        report["notified"] = (await until(handler.values, arguments.write, arguments.within))[-1]
        report["value_after"] = await node.read_value()
        await subscription.delete()
    finally:
        await client.disconnect()
    return report


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", required=True, help="for example opc.tcp://127.0.0.1:4840")
    parser.add_argument("--node", required=True, help="NodeId, for example ns=2;s=Plant.Temperature")
    parser.add_argument("--write", required=True, type=float, help="the value to write")
    parser.add_argument("--within", default=20.0, type=float, help="longest wait for one thing, in seconds")
    arguments = parser.parse_args()
    try:
        report = asyncio.run(witness(arguments))
    except Exception as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        sys.exit(1)
    print(json.dumps(report))


if __name__ == "__main__":
    main()

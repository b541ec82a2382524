// A device built with the AWS IoT Device SDK v2 for JavaScript, as a witness of a running sandbox.
//
// It takes the same arguments as ../device.py, lives the same life and prints the same steps; see there.
// The SDK and what it needs are found through NODE_PATH.

'use strict';

const fs = require('node:fs');
const path = require('node:path');
const timers = require('node:timers/promises');
const util = require('node:util');

const { iot, iotidentity, mqtt, mqtt5 } = require('aws-iot-device-sdk-v2');

function tell(step, facts) {
  process.stdout.write(`${JSON.stringify({ step, ...facts })}\n`);
}

/** `promise`, or an error naming `what` after the longest wait. */
function within(options, what, promise) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what}: nothing within ${options.within} s`)), options.within * 1000);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

/** What comes in, kept until it is asked for. */
class Queue {
  constructor(options, what) {
    Object.assign(this, { options, what, items: [], waiting: [] });
  }

  put(item) {
    const first = this.waiting.shift();
    first ? first(item) : this.items.push(item);
  }

  get() {
    if (this.items.length > 0) return Promise.resolve(this.items.shift());
    return within(this.options, this.what, new Promise((resolve) => this.waiting.push(resolve)));
  }
}

/** A connection with MQTT 3.1.1. */
class Link311 {
  constructor(options, clientId, certificate, key) {
    this.options = options;
    this.lost = new Queue(options, 'a hang-up');
    this.messages = new Queue(options, 'a message');
    const config = iot.AwsIotMqttConnectionConfigBuilder.new_mtls_builder_from_path(certificate, key)
      .with_certificate_authority_from_path(undefined, options.ca)
      .with_endpoint(options.endpoint)
      .with_port(options.port)
      .with_client_id(clientId)
      .with_clean_session(true)
      .with_keep_alive_seconds(60)
      // What is refused is to be seen once, not again after a reconnect.
      .with_reconnect_min_sec(3600)
      .with_reconnect_max_sec(3600)
      .build();
    this.connection = new mqtt.MqttClient().new_connection(config);
    this.hungUp = false;
    this.connection.on('interrupt', (error) => {
      this.hungUp = true;
      this.lost.put({ error: String(error) });
    });
    this.connection.on('error', () => {});
  }

  async open() {
    return { session_present: await within(this.options, 'CONNACK', this.connection.connect()) };
  }

  async publish(topic, payload) {
    await within(this.options, 'PUBACK', this.connection.publish(topic, payload, mqtt.QoS.AtLeastOnce));
    return { acknowledged: true };
  }

  publishRefused(topic, payload) {
    return this.#refused(this.connection.publish(topic, payload, mqtt.QoS.AtLeastOnce));
  }

  async subscribe(filter) {
    const decoder = new util.TextDecoder();
    const received = (topic, payload) => this.messages.put({ topic, payload: decoder.decode(payload) });
    const answer = await within(
      this.options,
      'SUBACK',
      this.connection.subscribe(filter, mqtt.QoS.AtLeastOnce, received),
    );
    return { granted: answer.qos };
  }

  subscribeRefused(filter) {
    return this.#refused(this.connection.subscribe(filter, mqtt.QoS.AtLeastOnce, () => {}));
  }

  /** The broker hangs up, and no acknowledgement ever comes. */
  async #refused(operation) {
    let acknowledged = false;
    operation.then(() => { acknowledged = true; }, () => {});
    const lost = await this.lost.get();
    return { acknowledged, hung_up: true, ...lost };
  }

  async close() {
    const done = this.connection.disconnect();
    // After a hang-up it would come only with the next attempt to reconnect.
    if (!this.hungUp) await within(this.options, 'a disconnect', done);
  }

  identityClient() {
    return new IdentityV1(this);
  }
}

/** A connection with MQTT 5. */
class Link5 {
  constructor(options, clientId, certificate, key) {
    this.options = options;
    this.lost = new Queue(options, 'a disconnect');
    this.messages = new Queue(options, 'a message');
    this.opened = new Queue(options, 'CONNACK');
    this.stopped = new Queue(options, 'a stop');
    const config = iot.AwsIotMqtt5ClientConfigBuilder
      .newDirectMqttBuilderWithMtlsFromPath(options.endpoint, certificate, key)
      .withCertificateAuthorityFromPath(undefined, options.ca)
      .withPort(options.port)
      .withConnectProperties({ clientId, keepAliveIntervalSeconds: 60 })
      .withMinReconnectDelayMs(3_600_000)
      .withMaxReconnectDelayMs(3_600_000)
      .build();
    this.client = new mqtt5.Mqtt5Client(config);
    this.client.on('connectionSuccess', (event) => this.opened.put({ connack: event.connack }));
    this.client.on('connectionFailure', (event) => this.opened.put({ failure: event }));
    this.client.on('disconnection', (event) => {
      this.lost.put({ error: String(event.error), reason: event.disconnect?.reasonCode ?? null });
    });
    this.client.on('stopped', () => this.stopped.put({}));
    this.client.on('error', () => {});
    const decoder = new util.TextDecoder();
    this.client.on('messageReceived', (event) => {
      this.messages.put({ topic: event.message.topicName, payload: decoder.decode(event.message.payload) });
    });
  }

  async open() {
    this.client.start();
    const { connack, failure } = await this.opened.get();
    if (failure) {
      throw Object.assign(new Error(String(failure.error)), { reason: failure.connack?.reasonCode ?? null });
    }
    return {
      reason: connack.reasonCode,
      session_present: connack.sessionPresent,
      maximum_qos: connack.maximumQos,
      retain_available: connack.retainAvailable,
      topic_alias_maximum: connack.topicAliasMaximum,
      receive_maximum: connack.receiveMaximum,
      server_keep_alive: connack.serverKeepAlive,
      subscription_identifiers_available: connack.subscriptionIdentifiersAvailable,
    };
  }

  async publish(topicName, payload) {
    const packet = { topicName, payload, qos: mqtt5.QoS.AtLeastOnce };
    const puback = await within(this.options, 'PUBACK', this.client.publish(packet));
    return { acknowledged: true, reason: puback.reasonCode };
  }

  /** The PUBACK says so, and the connection stays. */
  async publishRefused(topic, payload) {
    return { ...(await this.publish(topic, payload)), hung_up: this.lost.items.length > 0 };
  }

  async subscribe(topicFilter) {
    const packet = { subscriptions: [{ topicFilter, qos: mqtt5.QoS.AtLeastOnce }] };
    const suback = await within(this.options, 'SUBACK', this.client.subscribe(packet));
    return { granted: suback.reasonCodes[0] };
  }

  /** The SUBACK says so, and the connection stays. */
  async subscribeRefused(filter) {
    const { granted } = await this.subscribe(filter);
    return { acknowledged: true, reason: granted, hung_up: this.lost.items.length > 0 };
  }

  async close() {
    this.client.stop();
    await this.stopped.get();
    this.client.close();
  }

  identityClient() {
    return new IdentityV2(this);
  }
}

/** The service answered on a rejected topic. */
class Refused extends Error {
  constructor(answer) {
    super(`${answer.errorCode}: ${answer.errorMessage}`);
    this.facts = {
      status_code: answer.statusCode,
      error_code: answer.errorCode,
      error_message: answer.errorMessage,
    };
  }
}

/** The first identity client: subscriptions and a publish, each by itself. */
class IdentityV1 {
  constructor(link) {
    this.options = link.options;
    this.client = new iotidentity.IotIdentityClient(link.connection);
  }

  async #ask(operation, request, subscription) {
    const answers = new Queue(this.options, operation);
    for (const answer of ['Accepted', 'Rejected']) {
      const put = (error, response) => answers.put({ error, response, rejected: answer === 'Rejected' });
      const subscribed = this.client[`subscribeTo${operation}${answer}`](subscription, mqtt.QoS.AtLeastOnce, put);
      await within(this.options, 'SUBACK', subscribed);
    }
    await within(this.options, 'PUBACK', this.client[`publish${operation}`](request, mqtt.QoS.AtLeastOnce));
    const { error, response, rejected } = await answers.get();
    if (error) throw error;
    if (rejected) throw new Refused(response);
    return response;
  }

  createKeys() {
    return this.#ask('CreateKeysAndCertificate', {}, {});
  }

  createFromCsr(certificateSigningRequest) {
    return this.#ask('CreateCertificateFromCsr', { certificateSigningRequest }, {});
  }

  register(templateName, certificateOwnershipToken, parameters) {
    const request = { templateName, certificateOwnershipToken, parameters };
    return this.#ask('RegisterThing', request, { templateName });
  }
}

/** The second identity client: request and response, the subscriptions are its own. */
class IdentityV2 {
  constructor(link) {
    this.client = iotidentity.IotIdentityClientv2.newFromMqtt5(link.client, {
      maxRequestResponseSubscriptions: 4,
      maxStreamingSubscriptions: 0,
      operationTimeoutInSeconds: 30,
    });
  }

  async #ask(operation, request) {
    try {
      return await this.client[operation](request);
    } catch (error) {
      if (error.modeledError) throw new Refused(error.modeledError);
      throw new Error(`${operation}: ${error.innerError ?? error}`);
    }
  }

  createKeys() {
    return this.#ask('createKeysAndCertificate', {});
  }

  createFromCsr(certificateSigningRequest) {
    return this.#ask('createCertificateFromCsr', { certificateSigningRequest });
  }

  register(templateName, certificateOwnershipToken, parameters) {
    return this.#ask('registerThing', { templateName, certificateOwnershipToken, parameters });
  }
}

function linkTo(options, clientId, certificate, key) {
  const Link = { '3.1.1': Link311, 5: Link5 }[options.mqtt];
  return new Link(options, clientId, certificate, key);
}

/**
 * A connected link and what CONNACK said.
 *
 * AWS takes one CONNECT a second of a client id, so a device that has just been connected has to try again.
 */
async function connected(options, clientId, certificate, key, tryingFor) {
  const until = Date.now() + tryingFor * 1000;
  for (;;) {
    const link = linkTo(options, clientId, certificate, key);
    try {
      return [link, await link.open()];
    } catch (error) {
      if (Date.now() > until) throw error;
    }
    await timers.setTimeout(200);
  }
}

/** The Thing's name and the files of the new certificate and its key. */
async function provision(options) {
  const link = linkTo(options, `claim-${options.serial}`, options.cert, options.key);
  tell('claim-connected', await link.open());
  const identity = link.identityClient();
  let key = path.join(options.out, `${options.serial}.key`);
  let created;
  if (options.csr) {
    created = await identity.createFromCsr(fs.readFileSync(options.csr, 'utf8'));
    key = options['csr-key'];
  } else {
    created = await identity.createKeys();
    fs.writeFileSync(key, created.privateKey, { mode: 0o600 });
  }
  const certificate = path.join(options.out, `${options.serial}.pem`);
  fs.writeFileSync(certificate, created.certificatePem);
  tell('created', { certificate_id: created.certificateId, certificate, key });

  const parameters = JSON.parse(options.parameters);
  try {
    await identity.register(options.template, 'not-a-token', parameters);
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    tell('token-refused', error.facts);
  }
  const registered = await identity.register(options.template, created.certificateOwnershipToken, parameters);
  tell('registered', {
    thing: registered.thingName,
    device_configuration: registered.deviceConfiguration ?? null,
  });
  await link.close();
  return [registered.thingName, certificate, key];
}

async function live(options, thing, certificate, key) {
  let [link, facts] = await connected(options, thing, certificate, key, options.within);
  tell('connected', facts);
  tell('subscribed', { filter: `${thing}/commands`, ...(await link.subscribe(`${thing}/commands`)) });
  tell('published', { topic: thing, ...(await link.publish(thing, JSON.stringify({ temperature: 25.5 }))) });
  tell('received', await link.messages.get());
  await link.close();

  // On links of their own: with MQTT 3.1.1 each ends with a hang-up.
  for (const [step, act] of [
    ['publish-refused', () => link.publishRefused('another-thing', '{}')],
    ['subscribe-refused', () => link.subscribeRefused('another-thing/commands')],
  ]) {
    [link] = await connected(options, thing, certificate, key, options.within);
    tell(step, await act());
    await link.close();
  }
}

async function untilCutOff(options, thing, certificate, key) {
  const [link, facts] = await connected(options, thing, certificate, key, options.within);
  tell('staying', facts);
  tell('cut-off', await link.lost.get());
  await link.close();
  try {
    // Longer than the second in which it would be too soon for any device.
    tell('back-again', (await connected(options, thing, certificate, key, 2))[1]);
  } catch (error) {
    tell('shut-out', { error: String(error), reason: error.reason ?? null });
  }
}

async function main() {
  const text = { type: 'string' };
  const { values } = util.parseArgs({
    options: {
      endpoint: { ...text, default: 'localhost' }, port: text, ca: text, cert: text, key: text, mqtt: text,
      template: text, serial: text, parameters: text, csr: text, 'csr-key': text, out: text,
      'until-cut-off': { type: 'boolean' }, within: { ...text, default: '30' },
    },
  });
  const options = { ...values, port: Number(values.port), within: Number(values.within) };
  const identity = await provision(options);
  await live(options, ...identity);
  if (options['until-cut-off']) await untilCutOff(options, ...identity);
}

main().then(
  // What the SDK keeps open is not waited for.
  () => process.exit(0),
  (error) => {
    process.stderr.write(`${error}\n`);
    process.exit(1);
  },
);

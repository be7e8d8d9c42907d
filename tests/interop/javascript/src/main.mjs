// A sensor and a consumer over MQTT 5: reads an agent's attestation result, opens a session, sends readings, opens the
// replies and what was sealed for the consumer. Prints one line of JSON for each thing that happens.
//
//     node src/main.mjs SETTINGS

import {readFileSync} from 'node:fs';
import {argv, exit, stdout} from 'node:process';
import mqtt from 'mqtt';
import {bytes, decode, hex, unhex} from './cbor.mjs';
import {Consumer} from './consumer.mjs';
import {KemPrivateKey, SigningKey} from './keys.mjs';
import {Refused} from './refused.mjs';
import {Session} from './session.mjs';
import {Trust} from './trust.mjs';

const settings = JSON.parse(readFileSync(argv[2], 'utf8'));
const root = `sealedge/v1/${settings.fleet}`;
const topics = {
  revocations: `${root}/revocations`,
  result: agent => `${root}/agent/${agent}/result`,
  session: agent => `${root}/agent/${agent}/session`,
  request: agent => `${root}/agent/${agent}/request`,
  inbox: `${root}/sensor/${settings.sensor.name}/inbox`,
  consumer: `${root}/consumer/${settings.consumer.name}/inbox`,
};
const trust = new Trust(settings.fleet, decode(unhex(settings.authority)));
const consumerKey = await KemPrivateKey.fromSeed(settings.consumer.algorithm, unhex(settings.consumer.seed));
const consumer = new Consumer(trust, consumerKey, settings.tiers);
const terms = {
  fleet: settings.fleet,
  sensor: settings.sensor.name,
  key: new SigningKey(settings.sensor.key),
  credential: unhex(settings.sensor.credential),
  model: settings.model,
  tiers: settings.tiers,
  topics,
  minimumVersion: 1,
  recipients: [unhex(settings.consumer.credential)],
  deliverTo: topics.consumer,
  returnResult: true,
};
const waiting = new Set();
let session;
let passport;

const client = mqtt.connect(settings.broker, {protocolVersion: 5, clientId: `interop-${settings.sensor.name}`, clean: true});
const now = () => Math.floor(Date.now() / 1000);
const say = (event, detail) => stdout.write(`${JSON.stringify({event, ...detail})}\n`);

client.on('connect', () => {
  client.subscribe([topics.revocations, topics.result(settings.agent), topics.inbox, topics.consumer], {qos: 1});
});
client.on('error', error => finish(1, {error: error.message}));
// One message after the other: MQTT's order is kept across the waits of the cryptography.
let turn = Promise.resolve();
client.on('message', (topic, payload, packet) => {
  const correlation = bytes(packet.properties?.correlationData ?? Buffer.alloc(0));
  turn = turn.then(() => receive(topic, Uint8Array.from(payload), Uint8Array.from(correlation)));
});
setTimeout(() => finish(1, {error: 'timeout'}), settings.seconds * 1000);

async function receive(topic, payload, correlation) {
  try {
    await handle(topic, payload, correlation);
  } catch (error) {
    const isRefused = error instanceof Refused;
    if (isRefused) {
      say('refused', {topic, reason: error.reason, text: error.message});
    }
    finish(1, isRefused ? {} : {error: error.stack});
  }
}

async function handle(topic, payload, correlation) {
  if (topic === topics.revocations) {
    trust.acceptRevocations(payload);
    await open();
  } else if (topic === topics.result(settings.agent)) {
    passport = trust.openPassport(payload, settings.agent, settings.tiers, now());
    say('passport', {agent: passport.agent, tier: passport.tier, models: passport.models.map(each => each.get(1))});
    await open();
  } else if (topic === topics.inbox) {
    inbox(session.receive(payload, correlation, now()));
  } else {
    const result = await consumer.receive(topic, payload, correlation, now());
    if (result !== undefined) {
      say('received', {request: hex(correlation), output: hex(result.output), sender: result.sender});
      done(`received ${hex(correlation)}`);
    }
  }
}

// A session, as soon as everything that it needs is there.
async function open() {
  const holdsModel = passport?.models.some(each => each.get(1) === settings.model);
  if (session !== undefined || !holdsModel || trust.revocations === undefined) {
    return;
  }
  trust.checkCurrent(now());
  session = new Session(terms, passport, trust);
  publish(await session.opening(now(), 600));
}

function inbox({accept, answer, repeated, refusal}) {
  if (accept !== undefined) {
    say('accepted', {version: accept.version, window: accept.window});
    settings.readings.forEach(reading => ask(unhex(reading)));
  } else if (answer !== undefined) {
    const {receipt} = answer;
    say('answered', {request: hex(receipt.request), output: hex(answer.output), sequence: receipt.sequence, tier: receipt.tier});
    done(`answered ${hex(receipt.request)}`);
  } else if (repeated) {
    say('repeated', {});
  } else {
    say('refusal', {reason: refusal.reason});
    finish(0, {});
  }
}

function ask(reading) {
  const request = session.request(reading, now(), 60);
  say('sent', {request: hex(request.correlation), input: hex(reading)});
  waiting.add(`answered ${hex(request.correlation)}`).add(`received ${hex(request.correlation)}`);
  publish(request);
  // The same message once more, as QoS 1 may do: it is answered with the same bytes, and told once.
  publish(request);
}

function publish({topic, payload, correlation}) {
  const properties = {responseTopic: topics.inbox, correlationData: Buffer.from(correlation), messageExpiryInterval: 60};
  client.publish(topic, Buffer.from(payload), {qos: 1, properties});
}

function done(what) {
  waiting.delete(what);
  if (waiting.size === 0) {
    finish(0, {});
  }
}

function finish(status, detail) {
  say('finished', detail);
  client.end(true, {}, () => exit(status));
}

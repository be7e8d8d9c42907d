// Opens everything in vectors.json as a sensor and a consumer would, and alters it in many places: nothing altered may
// be believed. Prints one line of JSON.
//
//     node src/vectors.mjs VECTORS

import {createHash} from 'node:crypto';
import {readFileSync} from 'node:fs';
import {argv, stdout} from 'node:process';
import {decode, decodeMap, encode, hex, unhex} from './cbor.mjs';
import {messageAad, open0, openEncrypt, parseEncrypt, parseEncrypt0, parseSign1, verify1} from './cose.mjs';
import {Consumer} from './consumer.mjs';
import {kemKey, KemPrivateKey, sha256, verifyingKey} from './keys.mjs';
import {SESSION_OPEN} from './kinds.mjs';
import {commitment, openReceipt, openResult} from './receipts.mjs';
import {Refused} from './refused.mjs';
import {Session, sessionKeys} from './session.mjs';
import {expect, Trust} from './trust.mjs';

const STEP = 37; // every so many bytes
const vectors = JSON.parse(readFileSync(argv[2], 'utf8'));
const {now, keys, session: said, messages} = vectors;
const [identifier, secret] = [unhex(said.session), unhex(said.secret)];
const sensor = verifyingKey(decode(unhex(keys.signing['sensor-1'].cose_key)));
const kemKeys = new Map();
for (const [name, {algorithm, seed}] of Object.entries(keys.kem)) {
  kemKeys.set(name, await KemPrivateKey.fromSeed(algorithm, unhex(seed)));
}

function trusting() {
  const trust = new Trust(vectors.fleet, decode(unhex(keys.signing.authority.cose_key)));
  trust.acceptRevocations(unhex(vectors.revocations));
  return trust;
}

// The sensor's side of the session in the vectors.
function sessionOf(trust) {
  const inbox = messages.reply.topic;
  const terms = {sensor: 'sensor-1', key: {public: sensor}, model: vectors.model, tiers: ['simulated'], minimumVersion: 1, topics: {inbox}};
  const session = new Session(terms, trust.openPassport(unhex(vectors.attestation_result), 'agent-1', ['simulated'], now + 1), trust);
  Object.assign(session, {identifier, secret, keys: sessionKeys(secret, identifier)});
  const request = decodeMap(unhex(messages.request.plaintext));
  session.pending.set(hex(request.get(1)), request.get(2));
  return session;
}

function received(name, payload, correlation = unhex(messages[name].correlation)) {
  return sessionOf(trusting()).receive(payload, correlation, now + 3);
}

const OPEN = {
  credentials: data => trusting().identify(data, now, 'sensor'),
  revocations: data => new Trust(vectors.fleet, decode(unhex(keys.signing.authority.cose_key))).acceptRevocations(data),
  attestation_result: data => trusting().openPassport(data, 'agent-1', ['simulated'], now + 1),
  'session-open': async data => {
    const {topic, correlation} = messages['session-open'];
    const aad = messageAad(SESSION_OPEN, topic, sensor.thumbprint, 'agent-1', unhex(correlation));
    const message = parseSign1(data);
    const sender = trusting().identify(message.credential, now, 'sensor');
    const sealed = parseEncrypt(verify1(message, sender.key, SESSION_OPEN, aad));
    return openEncrypt(sealed, kemKeys.get('enclave'), aad, SESSION_OPEN, aad);
  },
  'session-accept': data => received('session-accept', data).accept,
  request: data => {
    const {topic, correlation} = messages.request;
    const message = parseEncrypt0(data);
    const {key, baseIv} = sessionKeys(secret, identifier).request;
    return open0(message, key, baseIv, message.typ, messageAad(message.typ, topic, identifier, 'agent-1', unhex(correlation)));
  },
  reply: data => received('reply', data).answer,
  'refusal-in-a-session': data => received('refusal-in-a-session', data).refusal,
  refusal: data => received('refusal', data).refusal,
  result: async data => {
    const {topic, correlation} = messages.result;
    const consumer = new Consumer(trusting(), kemKeys.get('consumer-1'), ['simulated']);
    return consumer.receive(topic, data, unhex(correlation), now + 3);
  },
  receipt_bundle: data => {
    const bundle = decodeMap(data);
    const passport = trusting().openPastPassport(bundle.get(1), now);
    const receipt = openReceipt(bundle.get(2), passport);
    const input = decodeMap(unhex(messages.request.plaintext)).get(2);
    expect('binding-mismatch', receipt.inputCommitment, commitment('input', bundle.get(3), input));
    return receipt;
  },
};

// The places at which a byte may change and the data is still believed.
async function believedWhenAltered(name, data) {
  const believed = [];
  for (let place = 0; place < data.length; place += STEP) {
    const altered = Uint8Array.from(data);
    altered[place] ^= 1;
    try {
      await OPEN[name](altered);
      believed.push(place);
    } catch (error) {
      if (!(error instanceof Refused)) {
        throw error;
      }
    }
  }
  return believed;
}

// SPECIFICATION.md, 7: what a TEE signs.
function reportData() {
  const [challenge, claims] = [decodeMap(unhex(vectors.report_data.challenge)), unhex(vectors.report_data.claims)];
  const confirmation = decodeMap(claims).get(8);
  const thumbprints = [verifyingKey(confirmation.get(1)).thumbprint, kemKey(confirmation.get(-70003)).thumbprint];
  const place = [challenge.get(1), challenge.get(2)];
  const bound = ['sealedge/1', challenge.get(4), challenge.get(3), challenge.get(7), ...thumbprints, sha256(claims), place];
  return createHash('sha512').update(encode(bound)).digest();
}

const bytesOf = name => unhex(name === 'credentials' ? vectors.credentials['sensor-1'] : messages[name]?.payload ?? vectors[name]);
const consumer2 = new Consumer(trusting(), kemKeys.get('consumer-2'), ['simulated']);
const {topic, correlation, payload, plaintext} = messages.result;
const reply = await OPEN.reply(bytesOf('reply'));
const found = {
  sensor: (await OPEN.credentials(bytesOf('credentials'))).name,
  passport: hex((await OPEN.attestation_result(bytesOf('attestation_result'))).digest),
  request_keys: Object.values(sessionKeys(secret, identifier).request).map(hex).join(''),
  reply_keys: Object.values(sessionKeys(secret, identifier).reply).map(hex).join(''),
  opening: hex(await OPEN['session-open'](bytesOf('session-open'))),
  accepted_version: (await OPEN['session-accept'](bytesOf('session-accept'))).version,
  request: hex(await OPEN.request(bytesOf('request'))),
  output: hex(reply.output),
  output_for_consumer: hex((await OPEN.result(bytesOf('result'))).output),
  output_for_consumer_2: hex((await consumer2.receive(topic, unhex(payload), unhex(correlation), now + 3)).output),
  given_twice: (await consumer2.receive(topic, unhex(payload), unhex(correlation), now + 3)) !== undefined,
  opened_plaintext: hex(openResult(unhex(plaintext), unhex(correlation), trusting(), ['simulated'], now + 3).salt),
  refusals: [OPEN.refusal(bytesOf('refusal')).reason, OPEN['refusal-in-a-session'](bytesOf('refusal-in-a-session')).reason],
  receipt_version: OPEN.receipt_bundle(bytesOf('receipt_bundle')).version,
  thumbprints: Object.fromEntries([
    ...Object.entries(keys.signing).map(([name, key]) => [name, hex(verifyingKey(decode(unhex(key.cose_key))).thumbprint)]),
    ...Object.entries(keys.kem).map(([name, key]) => [name, hex(kemKey(decode(unhex(key.cose_key))).thumbprint)]),
  ]),
  report_data: hex(reportData()),
  altered: 0,
  believed: {},
};
for (const name of Object.keys(OPEN)) {
  found.altered += Math.ceil(bytesOf(name).length / STEP);
  const believed = await believedWhenAltered(name, bytesOf(name));
  if (believed.length > 0) {
    found.believed[name] = believed;
  }
}
stdout.write(`${JSON.stringify(found)}\n`);

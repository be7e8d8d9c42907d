// COSE envelopes (SPECIFICATION.md, 4): parsed strictly, opened, and made.

import {randomBytes} from 'node:crypto';
import {bytes, decode, decodeMap, encode, equal, isBytes, Tag} from './cbor.mjs';
import {A256GCM, gcmOpen, gcmSeal, HPKE_3_KE, HPKE_XWING_KE, hpkeOpen, hpkeSeal, verifySignature} from './keys.mjs';
import {parseProof} from './merkle.mjs';
import {Refused} from './refused.mjs';

const [ALG, KID, IV, PARTIAL_IV, TYP, VDS, VDP, EK, CREDENTIAL] = [1, 4, 5, 6, 16, 395, 396, -4, -70000];
const [RFC9162_SHA256, INCLUSION] = [1, -1];

export function messageAad(typ, topic, sender, recipient, correlation) {
  return encode(['sealedge/1', typ, topic, sender, recipient, correlation]);
}

// COSE_Sign1

export function parseSign1(data, limit) {
  const [encoded, unprotected, payload, signature] = envelope(data, 18, 4, limit);
  const headers = header(encoded, [ALG, KID, TYP]);
  labels(unprotected, [], [CREDENTIAL]);
  return {
    protected: encoded,
    algorithm: headers.get(ALG),
    kid: headers.get(KID),
    typ: headers.get(TYP),
    credential: unprotected.get(CREDENTIAL),
    payload,
    signature,
  };
}

// A COSE Receipt of inclusion (RFC 9942, 5.2.1): a signature over the root that an entry and `proof` lead to.
export function parseInclusion(data) {
  const found = decode(data, 1024, true);
  const [encoded, unprotected, payload, signature] = found instanceof Tag && Number(found.tag) === 18 ? found.contents : [];
  const proofs = unprotected instanceof Map && unprotected.size === 1 ? unprotected.get(VDP) : undefined;
  const list = proofs instanceof Map && proofs.size === 1 ? proofs.get(INCLUSION) : undefined;
  if (!isBytes(encoded) || payload !== null || !Array.isArray(list) || list.length !== 1 || !isBytes(list[0])) {
    throw new Refused('malformed', 'not a COSE Receipt with one inclusion proof');
  }
  const headers = header(encoded, [ALG, KID, TYP, VDS]);
  if (headers.get(VDS) !== RFC9162_SHA256) {
    throw new Refused('unsupported', 'another verifiable data structure');
  }
  return {protected: encoded, algorithm: headers.get(ALG), kid: headers.get(KID), typ: headers.get(TYP), proof: parseProof(list[0]), signature};
}

export function verify1(message, key, typ, aad = new Uint8Array(0)) {
  if (!equal(message.kid, key.thumbprint)) {
    throw new Refused('unknown-signer', 'signed with another key');
  }
  if (message.algorithm !== key.algorithm) {
    throw new Refused('signature-invalid', 'the key is for another algorithm');
  }
  checkTyp(message.typ, typ);
  verifySignature(key, encode(['Signature1', message.protected, aad, message.payload]), message.signature);
  return message.payload;
}

export function sign1(key, payload, typ, aad, credential) {
  const encoded = encode(new Map([[ALG, key.algorithm], [KID, key.public.thumbprint], [TYP, typ]]));
  const signature = key.sign(encode(['Signature1', encoded, aad, payload]));
  const unprotected = new Map(credential === undefined ? [] : [[CREDENTIAL, credential]]);
  return encode(new Tag(18, [encoded, unprotected, payload, signature]));
}

// COSE_Encrypt0

export function parseEncrypt0(data) {
  const [encoded, unprotected, ciphertext] = envelope(data, 16, 3);
  const headers = header(encoded, [ALG, KID, PARTIAL_IV, TYP]);
  labels(unprotected, []);
  checkAlgorithm(headers.get(ALG), [A256GCM]);
  return {protected: encoded, kid: headers.get(KID), number: number(headers.get(PARTIAL_IV)), typ: headers.get(TYP), ciphertext};
}

export function open0(message, key, baseIv, typ, aad) {
  checkTyp(message.typ, typ);
  return gcmOpen(key, nonce(baseIv, message.number), message.ciphertext, encode(['Encrypt0', message.protected, aad]));
}

export function seal0(key, baseIv, sequence, kid, plaintext, typ, aad) {
  const encoded = encode(new Map([[ALG, A256GCM], [KID, kid], [PARTIAL_IV, shortest(sequence)], [TYP, typ]]));
  const ciphertext = gcmSeal(key, nonce(baseIv, sequence), plaintext, encode(['Encrypt0', encoded, aad]));
  return encode(new Tag(16, [encoded, new Map(), ciphertext]));
}

// COSE_Encrypt

export function parseEncrypt(data) {
  const [encoded, unprotected, ciphertext, recipients] = envelope(data, 96, 4);
  const headers = header(encoded, [ALG, IV, TYP], [KID]);
  labels(unprotected, []);
  checkAlgorithm(headers.get(ALG), [A256GCM]);
  if (!isBytes(headers.get(IV), 12) || !Array.isArray(recipients) || recipients.length < 1 || recipients.length > 16) {
    throw new Refused('malformed', 'a COSE_Encrypt has an IV of 12 bytes and 1 to 16 recipients');
  }
  const found = recipients.map(parseRecipient);
  return {protected: encoded, kid: headers.get(KID), iv: headers.get(IV), typ: headers.get(TYP), ciphertext, recipients: found};
}

export async function openEncrypt(message, key, extraInfo, typ, aad) {
  const mine = message.recipients.find(each => equal(each.kid, key.public.thumbprint));
  if (mine === undefined) {
    throw new Refused('misaddressed', 'sealed to other recipients');
  }
  const contentKey = await hpkeOpen(key, mine.ek, mine.sealed, recipientStructure(mine.protected, extraInfo));
  checkTyp(message.typ, typ);
  return gcmOpen(contentKey, message.iv, message.ciphertext, encode(['Encrypt', message.protected, aad]));
}

export async function encryptTo(key, plaintext, typ, aad) {
  const [contentKey, iv] = [bytes(randomBytes(32)), bytes(randomBytes(12))];
  const wrapped = encode(new Map([[ALG, key.algorithm], [KID, key.thumbprint]]));
  const {enc, sealed} = await hpkeSeal(key, contentKey, recipientStructure(wrapped, aad));
  const encoded = encode(new Map([[ALG, A256GCM], [IV, iv], [TYP, typ]]));
  const ciphertext = gcmSeal(contentKey, iv, plaintext, encode(['Encrypt', encoded, aad]));
  return encode(new Tag(96, [encoded, new Map(), ciphertext, [[wrapped, new Map([[EK, enc]]), sealed]]]));
}

// Parts

function recipientStructure(encoded, extraInfo) {
  return encode(['HPKE Recipient', A256GCM, encoded, extraInfo]);
}

function parseRecipient(found) {
  const [encoded, unprotected, sealed] = parts(found, 3);
  const headers = header(encoded, [ALG, KID]);
  labels(unprotected, [EK]);
  checkAlgorithm(headers.get(ALG), [HPKE_XWING_KE, HPKE_3_KE]);
  if (sealed.length !== 48) {
    throw new Refused('malformed', 'a sealed content key has 48 bytes');
  }
  return {protected: encoded, kid: headers.get(KID), ek: unprotected.get(EK), sealed};
}

function envelope(data, tag, count, limit) {
  const found = decode(data, limit);
  if (!(found instanceof Tag) || Number(found.tag) !== tag) {
    throw new Refused('malformed', `not a COSE message with tag ${tag}`);
  }
  return parts(found.contents, count);
}

function parts(found, count) {
  if (!Array.isArray(found) || found.length !== count || !isBytes(found[0]) || !(found[1] instanceof Map) || !isBytes(found[2])) {
    throw new Refused('malformed', `a COSE structure of ${count} parts is expected`);
  }
  return found;
}

function header(encoded, required, optional = []) {
  const found = decodeMap(encoded, 1024);
  labels(found, required, optional);
  return found;
}

function labels(map, required, optional = []) {
  if (required.some(label => !map.has(label))) {
    throw new Refused('malformed', 'a COSE header parameter is missing');
  }
  for (const [label, value] of map) {
    if (![...required, ...optional].includes(label)) {
      throw new Refused('unsupported', `the COSE header parameter ${label} is not accepted here`);
    }
    const fits = [ALG, VDS].includes(label) ? Number.isInteger(value) : label === TYP ? typeof value === 'string' : isBytes(value);
    if (!fits) {
      throw new Refused('malformed', `the COSE header parameter ${label} has a wrong type`);
    }
  }
}

function checkTyp(found, expected) {
  if (found !== expected) {
    throw new Refused('unexpected', `${expected} is expected`);
  }
}

function checkAlgorithm(found, accepted) {
  if (!accepted.includes(found)) {
    throw new Refused('unsupported', `the algorithm ${found} is not accepted`);
  }
}

function nonce(baseIv, sequence) {
  const found = Buffer.from(baseIv);
  const low = found.readUIntBE(7, 5);
  found.writeUIntBE(Number(BigInt(low) ^ BigInt(sequence)), 7, 5);
  return bytes(found);
}

function number(partialIv) {
  if (partialIv.length < 1 || partialIv.length > 5 || (partialIv[0] === 0 && partialIv.length > 1)) {
    throw new Refused('malformed', 'a Partial IV has 1 to 5 bytes and no leading zero');
  }
  return Buffer.from(partialIv).readUIntBE(0, partialIv.length);
}

function shortest(sequence) {
  const found = Buffer.alloc(5);
  found.writeUIntBE(sequence, 0, 5);
  const start = found.findIndex(byte => byte !== 0);
  return bytes(found.subarray(start < 0 ? 4 : start));
}

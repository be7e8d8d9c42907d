// Keys, signatures, HPKE, AES-256-GCM and derivation (SPECIFICATION.md, 3).

import {createCipheriv, createDecipheriv, createHash, createPrivateKey, createPublicKey, hkdfSync, sign, verify} from 'node:crypto';
import {Aes128Gcm, Aes256Gcm, CipherSuite, HkdfSha256} from '@hpke/core';
import {DhkemX25519HkdfSha256} from '@hpke/dhkem-x25519';
import {XWing} from '@hpke/hybridkem-x-wing';
import {bytes, encode, equal, isBytes} from './cbor.mjs';
import {Refused} from './refused.mjs';

export const ESP256 = -9;
export const ED25519 = -19;
export const A256GCM = 3;
export const HPKE_XWING_KE = -65801;
export const HPKE_3_KE = 49;

const SUITES = {
  [HPKE_XWING_KE]: {suite: new CipherSuite({kem: new XWing(), kdf: new HkdfSha256(), aead: new Aes256Gcm()}), enc: 1120, pub: 1216},
  [HPKE_3_KE]: {suite: new CipherSuite({kem: new DhkemX25519HkdfSha256(), kdf: new HkdfSha256(), aead: new Aes128Gcm()}), enc: 32, pub: 32},
};

export function sha256(data) {
  return bytes(createHash('sha256').update(data).digest());
}

export function derive(secret, info, length) {
  return new Uint8Array(hkdfSync('sha256', secret, new Uint8Array(0), info, length));
}

// A public signing key from its COSE_Key: exactly the parameters of its algorithm.
export function verifyingKey(coseKey) {
  const algorithm = coseKey instanceof Map ? coseKey.get(3) : undefined;
  const [x, y] = [coseKey?.get(-2), coseKey?.get(-3)];
  if (algorithm === ESP256 && isBytes(x, 32) && isBytes(y, 32)) {
    const required = new Map([[1, 2], [-1, 1], [-2, x], [-3, y]]);
    return made(coseKey, algorithm, required, {kty: 'EC', crv: 'P-256', x: base64url(x), y: base64url(y)});
  }
  if (algorithm === ED25519 && isBytes(x, 32)) {
    const required = new Map([[1, 1], [-1, 6], [-2, x]]);
    return made(coseKey, algorithm, required, {kty: 'OKP', crv: 'Ed25519', x: base64url(x)});
  }
  throw new Refused('unsupported', 'a COSE_Key for an algorithm that is not accepted');
}

export function verifySignature(key, data, signature) {
  const options = {key: key.key, dsaEncoding: 'ieee-p1363'};
  const hash = key.algorithm === ESP256 ? 'sha256' : null;
  if (!isBytes(signature, 64) || !verify(hash, data, options, signature)) {
    throw new Refused('signature-invalid', 'the signature does not hold');
  }
}

export class SigningKey {
  constructor(pem) {
    this.private = createPrivateKey(pem);
    const jwk = createPublicKey(this.private).export({format: 'jwk'});
    const x = bytes(Buffer.from(jwk.x, 'base64url'));
    this.algorithm = jwk.crv === 'P-256' ? ESP256 : ED25519;
    const coordinates = this.algorithm === ESP256 ? [[-2, x], [-3, bytes(Buffer.from(jwk.y, 'base64url'))]] : [[-2, x]];
    const [kty, crv] = this.algorithm === ESP256 ? [2, 1] : [1, 6];
    this.public = verifyingKey(new Map([[1, kty], [3, this.algorithm], [-1, crv], ...coordinates]));
  }

  sign(data) {
    const hash = this.algorithm === ESP256 ? 'sha256' : null;
    return bytes(sign(hash, data, {key: this.private, dsaEncoding: 'ieee-p1363'}));
  }
}

// A public key to seal to, from its COSE_Key.
export function kemKey(coseKey) {
  const algorithm = coseKey instanceof Map ? coseKey.get(3) : undefined;
  if (!Object.hasOwn(SUITES, algorithm)) {
    throw new Refused('unsupported', 'a COSE_Key for an algorithm that is not accepted');
  }
  const raw = coseKey.get(algorithm === HPKE_XWING_KE ? -1 : -2);
  if (!isBytes(raw, SUITES[algorithm].pub)) {
    throw new Refused('malformed', 'a public key of another length');
  }
  return exactly(coseKey, kemPublic(algorithm, raw));
}

export class KemPrivateKey {
  static async fromSeed(algorithm, seed) {
    const made = new KemPrivateKey();
    const kem = SUITES[algorithm].suite.kem;
    made.algorithm = algorithm;
    made.key = await kem.deserializePrivateKey(seed);
    made.public = kemPublic(algorithm, await rawPublicKey(algorithm, seed));
    return made;
  }
}

export async function hpkeSeal(key, plaintext, info) {
  const {suite} = SUITES[key.algorithm];
  const recipientPublicKey = await suite.kem.deserializePublicKey(key.raw);
  const sealed = await suite.seal({recipientPublicKey, info}, plaintext);
  return {enc: new Uint8Array(sealed.enc), sealed: new Uint8Array(sealed.ct)};
}

export async function hpkeOpen(key, enc, sealed, info) {
  const {suite, enc: length} = SUITES[key.algorithm];
  if (enc.length !== length) {
    throw new Refused('decryption-failed', 'the encapsulated key has a wrong length');
  }
  try {
    return new Uint8Array(await suite.open({recipientKey: key.key, enc, info}, sealed));
  } catch {
    throw new Refused('decryption-failed', 'sealed for another key or purpose');
  }
}

export function gcmSeal(key, nonce, plaintext, aad) {
  const cipher = createCipheriv('aes-256-gcm', key, nonce).setAAD(aad);
  return bytes(Buffer.concat([cipher.update(plaintext), cipher.final(), cipher.getAuthTag()]));
}

export function gcmOpen(key, nonce, ciphertext, aad) {
  try {
    const decipher = createDecipheriv('aes-256-gcm', key, nonce).setAAD(aad).setAuthTag(ciphertext.subarray(-16));
    return bytes(Buffer.concat([decipher.update(ciphertext.subarray(0, -16)), decipher.final()]));
  } catch {
    throw new Refused('decryption-failed', 'the ciphertext is for another key or purpose');
  }
}

function made(coseKey, algorithm, required, jwk) {
  let key;
  try {
    key = createPublicKey({key: jwk, format: 'jwk'});
  } catch {
    throw new Refused('malformed', 'no public key');
  }
  return exactly(coseKey, {algorithm, key, required, thumbprint: sha256(encode(required))});
}

function kemPublic(algorithm, raw) {
  const required = algorithm === HPKE_XWING_KE ? new Map([[1, 7], [3, algorithm], [-1, raw]]) : new Map([[1, 1], [-1, 4], [-2, raw]]);
  return {algorithm, raw, required, thumbprint: sha256(encode(required))};
}

// Extra or missing parameters change the encoding.
function exactly(coseKey, key) {
  if (!equal(encode(coseKey), encode(new Map([...key.required, [3, key.algorithm]])))) {
    throw new Refused('malformed', 'COSE_Key parameters do not fit its algorithm');
  }
  return key;
}

async function rawPublicKey(algorithm, seed) {
  if (algorithm === HPKE_3_KE) {
    const pkcs8 = Buffer.concat([Buffer.from('302e020100300506032b656e04220420', 'hex'), seed]);
    const pair = createPublicKey(createPrivateKey({key: pkcs8, format: 'der', type: 'pkcs8'}));
    return bytes(Buffer.from(pair.export({format: 'jwk'}).x, 'base64url'));
  }
  const {kem} = SUITES[algorithm].suite;
  const pair = await kem.generateKeyPairDerand(seed);
  return new Uint8Array(await kem.serializePublicKey(pair.publicKey));
}

function base64url(data) {
  return Buffer.from(data).toString('base64url');
}

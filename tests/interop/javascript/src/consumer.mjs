// A consumer (SPECIFICATION.md, 10): opens what was sealed to its KEM key, and believes the receipt alone.

import {encode, hex} from './cbor.mjs';
import {messageAad, openEncrypt, parseEncrypt} from './cose.mjs';
import {RESULT} from './kinds.mjs';
import {openResult} from './receipts.mjs';
import {Refused} from './refused.mjs';

export class Consumer {
  constructor(trust, key, tiers) {
    Object.assign(this, {trust, key, tiers});
    this.seen = new Set();
    this.versions = new Map();
  }

  // The verified result, or undefined for one that was handed over before.
  async receive(topic, payload, correlation, now) {
    this.trust.checkCurrent(now);
    const message = parseEncrypt(payload);
    if (message.kid === undefined) {
      throw new Refused('misaddressed', 'a result without a session');
    }
    const info = encode(['sealedge/1', 'result', this.trust.fleet, message.kid]);
    const aad = messageAad(RESULT, topic, message.kid, '', correlation);
    const plaintext = await openEncrypt(message, this.key, info, RESULT, aad);
    const result = openResult(plaintext, correlation, this.trust, this.tiers, now);
    if (result.output === undefined) {
      throw new Refused('unexpected', 'a result without an output');
    }
    this.checkVersion(result.receipt);
    const name = hex(result.receipt.sender) + hex(result.receipt.request);
    if (this.seen.has(name)) {
      return undefined;
    }
    this.seen.add(name);
    return result;
  }

  checkVersion({agent, model, version}) {
    const known = this.versions.get(`${agent}@${model}`) ?? 0;
    if (version < known) {
      throw new Refused('stale', 'an older version of the model than one already seen');
    }
    this.versions.set(`${agent}@${model}`, version);
  }
}

// A session (SPECIFICATION.md, 9), the sensor's side.

import {randomBytes} from 'node:crypto';
import {bytes, decodeMap, encode, fields, hex} from './cbor.mjs';
import {encryptTo, messageAad, open0, parseEncrypt0, parseSign1, seal0, sign1, verify1} from './cose.mjs';
import {derive} from './keys.mjs';
import {FIELDS, REFUSAL, REPLY, REQUEST, SESSION_ACCEPT, SESSION_OPEN} from './kinds.mjs';
import {commitment, openResult} from './receipts.mjs';
import {Refused} from './refused.mjs';
import {expect} from './trust.mjs';

export function sessionKeys(secret, session) {
  const of = direction => {
    const material = derive(secret, encode(['sealedge/1', 'session', session, direction]), 44);
    return {key: material.subarray(0, 32), baseIv: material.subarray(32)};
  };
  return {request: of('request'), reply: of('reply')};
}

export class Session {
  // `terms`: {fleet, sensor, key, credential, model, tiers, topics, minimumVersion, recipients, deliverTo, returnResult}
  constructor(terms, passport, trust) {
    Object.assign(this, {terms, passport, trust});
    this.identifier = bytes(randomBytes(16));
    this.secret = bytes(randomBytes(32));
    this.keys = sessionKeys(this.secret, this.identifier);
    this.sequence = 0;
    this.pending = new Map();
  }

  async opening(now, seconds) {
    const {terms, passport} = this;
    const message = new Map([
      [1, this.identifier], [2, this.secret], [3, terms.fleet], [4, passport.agent], [5, terms.model],
      [6, terms.minimumVersion], [7, terms.topics.inbox], [9, terms.recipients], [10, terms.returnResult],
      [11, terms.tiers], [12, passport.digest], [13, now], [14, now + seconds],
    ]);
    if (terms.deliverTo !== undefined) {
      message.set(8, terms.deliverTo);
    }
    const topic = terms.topics.session(passport.agent);
    const aad = messageAad(SESSION_OPEN, topic, terms.key.public.thumbprint, passport.agent, this.identifier);
    const sealed = await encryptTo(passport.kemKey, encode(message), SESSION_OPEN, aad);
    return {topic, payload: sign1(terms.key, sealed, SESSION_OPEN, aad, terms.credential), correlation: this.identifier};
  }

  request(input, now, seconds) {
    const identifier = bytes(randomBytes(16));
    this.pending.set(hex(identifier), input);
    const plaintext = encode(new Map([[1, identifier], [2, input], [3, now], [4, now + seconds]]));
    const topic = this.terms.topics.request(this.passport.agent);
    const aad = messageAad(REQUEST, topic, this.identifier, this.passport.agent, identifier);
    const {key, baseIv} = this.keys.request;
    const payload = seal0(key, baseIv, this.sequence, this.identifier, plaintext, REQUEST, aad);
    this.sequence += 1;
    return {topic, payload, correlation: identifier};
  }

  // What came into the inbox: {accept}, {answer}, {repeated} or {refusal}.
  receive(payload, correlation, now) {
    if (payload[0] === 0xd2) {
      return {refusal: this.refusedOutside(payload, correlation)};
    }
    const message = parseEncrypt0(payload);
    expect('session-unknown', this.identifier, message.kid);
    const {key, baseIv} = this.keys.reply;
    const aad = messageAad(message.typ, this.terms.topics.inbox, this.identifier, this.terms.sensor, correlation);
    const plaintext = open0(message, key, baseIv, message.typ, aad);
    switch (message.typ) {
      case SESSION_ACCEPT:
        return {accept: this.accepted(plaintext)};
      case REPLY:
        return answerOf(this.answered(plaintext, correlation, now));
      case REFUSAL:
        return {refusal: fields(decodeMap(plaintext), FIELDS.refusal)};
      default:
        throw new Refused('unexpected', 'a message of another type');
    }
  }

  accepted(plaintext) {
    const accept = fields(decodeMap(plaintext), FIELDS.sessionAccept);
    expect('binding-mismatch', this.identifier, accept.session);
    expect('binding-mismatch', this.terms.model, accept.model);
    if (accept.version < this.terms.minimumVersion) {
      throw new Refused('stale', 'an older version of the model than asked for');
    }
    return accept;
  }

  answered(plaintext, request, now) {
    const input = this.pending.get(hex(request));
    if (input === undefined) {
      return undefined; // it was answered before
    }
    const answer = openResult(plaintext, request, this.trust, this.terms.tiers, now);
    const {receipt} = answer;
    expect('binding-mismatch', this.passport.signingKey.thumbprint, answer.passport.signingKey.thumbprint);
    expect('binding-mismatch', this.passport.agent, receipt.agent);
    expect('binding-mismatch', this.identifier, receipt.session);
    expect('binding-mismatch', this.terms.model, receipt.model);
    expect('binding-mismatch', this.terms.key.public.thumbprint, receipt.sender);
    expect('binding-mismatch', receipt.inputCommitment, commitment('input', answer.salt, input));
    this.pending.delete(hex(request));
    return answer;
  }

  refusedOutside(payload, correlation) {
    const key = this.passport.signingKey;
    const aad = messageAad(REFUSAL, this.terms.topics.inbox, key.thumbprint, '', correlation);
    return fields(decodeMap(verify1(parseSign1(payload), key, REFUSAL, aad)), FIELDS.refusal);
  }
}

function answerOf(answer) {
  return answer === undefined ? {repeated: true} : {answer};
}

// Who is who, and which enclave is to be believed (SPECIFICATION.md, 6 and 7).

import {decodeMap, equal, fields, hex} from './cbor.mjs';
import {parseSign1, verify1} from './cose.mjs';
import {kemKey, sha256, verifyingKey} from './keys.mjs';
import {ATTESTATION_RESULT, CREDENTIAL, EAR_PROFILE, FIELDS, REVOCATIONS} from './kinds.mjs';
import {Refused} from './refused.mjs';

const CLOCK_SKEW = 60;
const AFFIRMING = 2;

export class Trust {
  constructor(fleet, authority) {
    this.fleet = fleet;
    this.authority = verifyingKey(authority);
    this.revocations = undefined;
    this.sequences = new Map();
  }

  acceptRevocations(data) {
    const list = fields(decodeMap(verify1(parseSign1(data), this.authority, REVOCATIONS)), FIELDS.revocations);
    expect('misaddressed', this.fleet, list.fleet);
    if (this.revocations !== undefined && list.sequence < this.revocations.sequence) {
      throw new Refused('stale', 'an older revocation list than the one held');
    }
    const revoked = new Set(list.entries.map(entry => `${entry.get(1)} ${hex(entry.get(2))}`));
    this.revocations = {sequence: list.sequence, expires: list.expires, revoked};
  }

  checkCurrent(now) {
    if (this.revocations === undefined || now >= this.revocations.expires) {
      throw new Refused('stale', 'no current revocation list');
    }
  }

  checkNotRevoked(kind, identifier) {
    if (this.revocations?.revoked.has(`${kind} ${hex(identifier)}`)) {
      throw new Refused('revoked', `this ${kind} is revoked`);
    }
  }

  identify(data, now, role) {
    if (data === undefined) {
      throw new Refused('unknown-signer', "the signer's credential is missing");
    }
    const found = fields(decodeMap(verify1(parseSign1(data), this.authority, CREDENTIAL)), FIELDS.credential);
    expect('misaddressed', this.fleet, found.fleet);
    expect('role-not-allowed', role, found.role);
    checkTimes(found.notBefore, found.expires, now);
    this.checkNotRevoked('credential', found.identifier);
    const keys = fields(found.confirmation ?? new Map(), FIELDS.confirmation);
    const key = verifyingKey(keys.signingKey);
    this.checkNotRevoked('key', key.thumbprint);
    return {name: found.subject, key};
  }

  // An attestation result: verified, whether or not its lease still runs.
  openPastPassport(data, now) {
    const message = parseSign1(data);
    const verifier = this.identify(message.credential, now, 'verifier');
    const result = fields(decodeMap(verify1(message, verifier.key, ATTESTATION_RESULT)), FIELDS.attestationResult);
    expect('misaddressed', this.fleet, result.fleet);
    expect('misaddressed', verifier.name, result.verifier);
    expect('misaddressed', EAR_PROFILE, result.profile);
    const statuses = [...result.submodules.values()].map(each => each.get(1000));
    if (result.status !== AFFIRMING || statuses.length === 0 || statuses.some(status => !(status <= AFFIRMING))) {
      throw new Refused('evidence-invalid', 'the verifier did not affirm');
    }
    const keys = fields(result.confirmation, FIELDS.confirmation);
    if (keys.kemKey === undefined) {
      throw new Refused('binding-mismatch', 'an attestation result without a KEM key');
    }
    const passport = {...result, digest: sha256(data), signingKey: verifyingKey(keys.signingKey), kemKey: kemKey(keys.kemKey)};
    this.checkNotRevoked('measurement', result.measurement);
    this.checkNotRevoked('key', passport.signingKey.thumbprint);
    if (result.chip !== undefined) {
      this.checkNotRevoked('chip', result.chip);
    }
    return passport;
  }

  // The same from an agent's result topic: live now, this agent's, and not older than one seen before.
  openPassport(data, agent, tiers, now) {
    const passport = this.openPastPassport(data, now);
    checkLease(passport, now);
    expect('misaddressed', agent, passport.agent);
    if (passport.sequence < (this.sequences.get(agent) ?? -1)) {
      throw new Refused('stale', 'an older attestation result than one already seen');
    }
    this.sequences.set(agent, passport.sequence);
    checkTier(passport, tiers);
    return passport;
  }
}

export function checkTier(passport, tiers) {
  if (!tiers.includes(passport.tier)) {
    throw new Refused('tier-not-accepted', `the tier is ${passport.tier}`);
  }
}

export function checkTimes(start, end, now) {
  if (now >= end) {
    throw new Refused('expired', 'this has ended');
  }
  if (now < start - CLOCK_SKEW) {
    throw new Refused('not-yet-valid', 'this is from the future');
  }
}

export function expect(reason, expected, found) {
  const same = expected instanceof Uint8Array ? found instanceof Uint8Array && equal(expected, found) : expected === found;
  if (!same) {
    throw new Refused(reason, 'two things that should be the same are not');
  }
}

function checkLease(passport, now) {
  if (now >= passport.expires) {
    throw new Refused('lease-expired', "the attestation result's lease has ended");
  }
  checkTimes(passport.issued, passport.expires, now);
}

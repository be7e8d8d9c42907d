// Results and receipts (SPECIFICATION.md, 10): what a relying party checks before it believes an output.

import {decode, decodeMap, encode, fields, isBytes} from './cbor.mjs';
import {parseInclusion, verify1} from './cose.mjs';
import {sha256} from './keys.mjs';
import {FIELDS, RECEIPT} from './kinds.mjs';
import {rootOf} from './merkle.mjs';
import {Refused} from './refused.mjs';
import {checkTier, checkTimes, expect} from './trust.mjs';

export function openResult(plaintext, request, trust, tiers, now) {
  const result = fields(decodeMap(plaintext), FIELDS.result);
  const passport = trust.openPastPassport(result.attestationResult, now);
  checkTier(passport, tiers);
  const receipt = openReceipt(result.receipt, passport);
  expect('misaddressed', request, result.request);
  expect('misaddressed', request, receipt.request);
  checkTimes(receipt.time, Infinity, now);
  trust.checkNotRevoked('model', receipt.module);
  if (result.output !== undefined) {
    expect('binding-mismatch', receipt.outputCommitment, commitment('output', result.salt, result.output));
  }
  return {...result, receipt, passport};
}

export function openReceipt(data, passport) {
  const [entry, inclusion] = parts(data);
  const {proof, ...message} = parseInclusion(inclusion);
  verify1({...message, payload: rootOf(entry, proof)}, passport.signingKey, RECEIPT);
  const receipt = fields(decodeMap(entry), FIELDS.receipt);
  expect('binding-mismatch', passport.fleet, receipt.fleet);
  expect('binding-mismatch', passport.agent, receipt.agent);
  expect('binding-mismatch', passport.tier, receipt.tier);
  expect('binding-mismatch', passport.digest, receipt.attestationResult);
  if (receipt.time < passport.issued || receipt.time >= passport.expires) {
    throw new Refused('lease-expired', "the receipt's time is outside the lease");
  }
  return receipt;
}

function parts(data) {
  const found = decode(data);
  if (!Array.isArray(found) || found.length !== 2 || !found.every(each => isBytes(each))) {
    throw new Refused('malformed', 'a receipt is two byte strings');
  }
  return found;
}

export function commitment(what, salt, value) {
  return sha256(encode(['sealedge/1', what, salt, value]));
}

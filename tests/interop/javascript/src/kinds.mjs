// The `typ` of each kind that sensors and consumers meet, and its fields (schemas/messages.cddl).

const kind = name => `application/vnd.sealedge.${name}+cose`;

export const CREDENTIAL = 'application/vnd.sealedge.credential+cwt';
export const ATTESTATION_RESULT = 'application/eat+cwt; eat_profile="tag:ietf.org,2026:rats/ear#03"';
export const EAR_PROFILE = 'tag:ietf.org,2026:rats/ear#03';
export const [MANIFEST, RECEIPT, REVOCATIONS] = [kind('manifest'), kind('receipt'), kind('revocations')];
export const [SESSION_OPEN, SESSION_ACCEPT] = [kind('session-open'), kind('session-accept')];
export const [REQUEST, REPLY, RESULT, REFUSAL] = [kind('request'), kind('reply'), kind('result'), kind('refusal')];

export const FIELDS = {
  confirmation: {1: 'signingKey', '-70003': 'kemKey?'},
  credential: {1: 'issuer', 2: 'subject', 3: 'fleet', 4: 'expires', 5: 'notBefore', 6: 'issued', 7: 'identifier', 8: 'confirmation?', '-70001': 'role', '-70002': 'chips?'},
  revocations: {1: 'fleet', 2: 'sequence', 3: 'issued', 4: 'expires', 5: 'entries'},
  attestationResult: {
    1: 'verifier', 2: 'agent', 3: 'fleet', 4: 'expires', 6: 'issued', 8: 'confirmation', 10: 'nonce', 265: 'profile', 266: 'submodules', 1000: 'status', 1004: 'verifierIdentity',
    '-70020': 'tier', '-70021': 'sequence', '-70022': 'measurement', '-70023': 'configuration', '-70024': 'models', '-70025': 'chip?',
  },
  sessionAccept: {1: 'session', 2: 'model', 3: 'version', 4: 'manifest', 5: 'attestationResult', 6: 'expires', 7: 'window'},
  receipt: {
    1: 'fleet', 2: 'agent', 3: 'request', 4: 'model', 5: 'version', 6: 'module', 7: 'inputCommitment', 8: 'outputCommitment',
    9: 'sequence', 10: 'time', 11: 'attestationResult', 12: 'tier', 13: 'session', 14: 'sender', 16: 'delivered?',
  },
  result: {1: 'request', 2: 'output?', 3: 'salt', 4: 'receipt', 5: 'attestationResult', 6: 'sender', 7: 'padding?'},
  refusal: {1: 'reason', 2: 'time', 3: 'claim?', 4: 'expected?', 5: 'found?', 6: 'policy?', 7: 'retryAfter?'},
};

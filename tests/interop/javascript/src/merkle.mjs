// Trees of RFC 9162, 2.1, and proofs that an entry is in one (SPECIFICATION.md, 10).

import {bytes, decode, isBytes} from './cbor.mjs';
import {sha256} from './keys.mjs';
import {Refused} from './refused.mjs';

const [MAX_LEAVES, MAX_PATH] = [64, 6];

export function parseProof(data) {
  const [size, index, path, ...more] = listed(decode(data));
  const places = Number.isInteger(size) && Number.isInteger(index) && index >= 0 && index < size && size <= MAX_LEAVES;
  if (!places || more.length > 0 || listed(path).length > MAX_PATH || !path.every(each => isBytes(each, 32))) {
    throw new Refused('malformed', 'not an inclusion proof');
  }
  return {size, index, path};
}

// The root that an entry and its path lead to. It says nothing until its signature is verified.
export function rootOf(entry, {size, index, path}) {
  let [at, last, found] = [index, size - 1, sha256(joined([0], entry))];
  for (const beside of path) {
    if (last === 0) {
      throw new Refused('malformed', 'the path goes on above the root');
    }
    if (at % 2 === 1 || at === last) {
      found = sha256(joined([1], beside, found));
      while (at !== 0 && at % 2 === 0) {
        [at, last] = [at >> 1, last >> 1];
      }
    } else {
      found = sha256(joined([1], found, beside));
    }
    [at, last] = [at >> 1, last >> 1];
  }
  if (last !== 0) {
    throw new Refused('malformed', 'the path ends below the root');
  }
  return found;
}

function joined(...parts) {
  return bytes(Buffer.concat(parts.map(each => Buffer.from(each))));
}

function listed(value) {
  if (!Array.isArray(value)) {
    throw new Refused('malformed', 'not an array');
  }
  return value;
}

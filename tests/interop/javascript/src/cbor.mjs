// Deterministic CBOR (SPECIFICATION.md, 2). Maps are Map, byte strings Uint8Array.

import {cdeDecodeOptions, cdeEncodeOptions, decode as decodeItem, encode as encodeItem, Tag} from 'cbor2';
import {Refused} from './refused.mjs';

export {Tag};

const TAGS = new Set([16, 18, 96]);

export function encode(value) {
  return bytes(encodeItem(value, cdeEncodeOptions));
}

// One item, in its one encoding, that takes up all of the bytes. Nil stands nowhere but where `nil` says so.
export function decode(data, limit = 1 << 20, nil = false) {
  if (data.length > limit) {
    throw new Refused('oversized', `${data.length} bytes where ${limit} are allowed`);
  }
  let value;
  try {
    value = decodeItem(data, {...cdeDecodeOptions, preferMap: true});
  } catch (error) {
    throw new Refused('malformed', `not deterministic CBOR: ${error.message}`);
  }
  check(value, nil);
  if (!equal(encode(value), data)) {
    throw new Refused('malformed', 'not the deterministic encoding');
  }
  return value;
}

export function decodeMap(data, limit) {
  const found = decode(data, limit);
  if (!(found instanceof Map)) {
    throw new Refused('malformed', 'not a map');
  }
  return found;
}

// A message's fields: {key: name}; a name that ends in "?" may be absent. Unknown keys are refused.
export function fields(map, names) {
  const found = {};
  for (const [key, name] of Object.entries(names)) {
    const value = map.get(Number(key));
    if (value === undefined && !name.endsWith('?')) {
      throw new Refused('malformed', `${name} is missing`);
    }
    found[name.replace('?', '')] = value;
  }
  for (const key of map.keys()) {
    if (!Object.hasOwn(names, key)) {
      throw new Refused('malformed', `the key ${key} is unknown`);
    }
  }
  return found;
}

export function bytes(data) {
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
}

export function hex(data) {
  return Buffer.from(data).toString('hex');
}

export function unhex(text) {
  return Uint8Array.from(Buffer.from(text, 'hex')); // a copy: some libraries look at the whole buffer behind a view
}

export function equal(one, other) {
  return Buffer.compare(one, other) === 0;
}

export function isBytes(value, length) {
  return value instanceof Uint8Array && (length === undefined || value.length === length);
}

function check(value, nil) {
  if (value instanceof Tag) {
    if (!TAGS.has(Number(value.tag))) {
      throw new Refused('malformed', `the tag ${value.tag} is not accepted`);
    }
    check(value.contents, nil);
  } else if (value instanceof Map) {
    value.forEach((item, key) => {
      if (!['number', 'bigint', 'string'].includes(typeof key)) {
        throw new Refused('malformed', 'a map key is neither an integer nor a string');
      }
      check(item, nil);
    });
  } else if (Array.isArray(value)) {
    value.forEach(item => check(item, nil));
  } else if (value === null ? !nil : !isBytes(value) && !['string', 'boolean', 'bigint'].includes(typeof value) && !Number.isInteger(value)) {
    throw new Refused('malformed', 'a value that messages do not have');
  }
}

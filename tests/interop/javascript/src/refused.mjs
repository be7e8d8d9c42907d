// Why something was not believed: a reason code of SPECIFICATION.md, 11.

export class Refused extends Error {
  constructor(reason, text) {
    super(`${reason}: ${text}`);
    this.reason = reason;
  }
}

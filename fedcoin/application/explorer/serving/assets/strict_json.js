// JSON without surprises: whole numbers stay exact (BigInt), no name comes twice, nothing follows.
// Objects become Maps, so that no name means anything to JavaScript. Numbers with a fraction or an
// exponent become ordinary numbers, which equal no whole number.

const MAX_DEPTH = 100;
const NUMBER = /-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?/y;
const STRING = /"((?:[^"\\\u0000-\u001f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*)"/y;
const SPACE = /[ \t\n\r]*/y;
const WORDS = { true: true, false: false, null: null };

class Reader {
  constructor(text) {
    this.text = text;
    this.at = 0;
  }

  fail(problem) {
    throw new SyntaxError(`is not readable JSON: ${problem} at character ${this.at}`);
  }

  match(pattern) {
    pattern.lastIndex = this.at;
    const found = pattern.exec(this.text);
    if (found) this.at = pattern.lastIndex;
    return found;
  }

  take(character) {
    this.match(SPACE);
    if (this.text[this.at] !== character) return false;
    this.at += 1;
    return true;
  }

  expect(character) {
    if (!this.take(character)) this.fail(`expected ${character}`);
  }

  value(depth) {
    if (depth > MAX_DEPTH) this.fail("nested too deeply");
    this.match(SPACE);
    if (this.take("{")) return this.object(depth);
    if (this.take("[")) return this.list(depth);
    if (this.text[this.at] === '"') return this.string();
    const number = this.match(NUMBER);
    if (number) return number[1] || number[2] ? Number(number[0]) : this.whole(number[0]);
    for (const [word, value] of Object.entries(WORDS)) {
      if (this.text.startsWith(word, this.at)) {
        this.at += word.length;
        return value;
      }
    }
    return this.fail("expected a value");
  }

  whole(digits) {
    if (digits.length > 4300) this.fail("a number has too many digits");
    return BigInt(digits);
  }

  string() {
    const found = this.match(STRING);
    if (!found) this.fail("a text is not closed or has a character that must be escaped");
    return JSON.parse(found[0]);
  }

  object(depth) {
    const members = new Map();
    if (this.take("}")) return members;
    do {
      this.match(SPACE);
      const name = this.string();
      if (members.has(name)) this.fail("an object has the same name twice");
      this.expect(":");
      members.set(name, this.value(depth + 1));
    } while (this.take(","));
    this.expect("}");
    return members;
  }

  list(depth) {
    const items = [];
    if (this.take("]")) return items;
    do items.push(this.value(depth + 1));
    while (this.take(","));
    this.expect("]");
    return items;
  }
}

/** Parse JSON in UTF-8; SyntaxError when it is not. */
export function parseJson(bytes) {
  let text;
  try {
    text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw new SyntaxError("is not readable JSON: it is not UTF-8");
  }
  const reader = new Reader(text);
  const value = reader.value(0);
  reader.match(SPACE);
  if (reader.at !== text.length) reader.fail("something follows the end");
  return value;
}

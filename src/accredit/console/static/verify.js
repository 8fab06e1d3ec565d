// One event against a signed checkpoint, in the reader's own browser: RFC 6962 §2.1.1, C2SP signed-note, tlog-checkpoint
// and tlog-proof, with WebCrypto only. The entry is 0x01 ‖ SHA-256("accredit.audit.v1\0" ‖ nonce ‖ body).
const text = string => new TextEncoder().encode(string);
const bytes = base64 => Uint8Array.from(atob(base64), character => character.charCodeAt(0));
const base64 = data => btoa(String.fromCharCode(...data));
const sha256 = async data => new Uint8Array(await crypto.subtle.digest("SHA-256", data));
const equal = (a, b) => a.length === b.length && a.every((x, i) => x === b[i]);

function join(...parts) {
  const out = new Uint8Array(parts.reduce((n, part) => n + part.length, 0));
  let at = 0;
  for (const part of parts) { out.set(part, at); at += part.length }
  return out;
}

// The checkpoint: a note signed by the key whose verifier form is `name+id+base64`; the base64 itself may contain "+".
export async function checkNote(note, vkey) {
  const [, name, , key] = vkey.match(/^([^+]+)\+([0-9a-f]{8})\+(.+)$/s);
  const end = note.indexOf("\n\n") + 1, body = note.slice(0, end), raw = bytes(key);
  if (raw[0] !== 1) throw new Error("this browser checks Ed25519 signatures only");
  const id = (await sha256(join(text(name + "\n"), raw))).slice(0, 4);
  const lines = note.slice(end + 1).split("\n").filter(line => line.startsWith(`\u2014 ${name} `));
  const signature = lines.map(line => bytes(line.split(" ")[2])).find(found => equal(found.slice(0, 4), id));
  if (!signature) throw new Error("the checkpoint has no signature by the log's key");
  const pub = await crypto.subtle.importKey("raw", raw.slice(1), "Ed25519", false, ["verify"]);
  if (!await crypto.subtle.verify("Ed25519", pub, signature.slice(4), text(body))) throw new Error("the checkpoint's signature is wrong");
  const [origin, size, root] = body.split("\n");
  if (!/^(0|[1-9][0-9]{0,15})$/.test(size)) throw new Error("the checkpoint's size is not a number");
  return { origin, size: Number(size), root: bytes(root) };
}

// Sizes may pass 2^31, where bit operators stop, so it divides.
export async function checkInclusion(entry, index, size, path, root) {
  if (index >= size) throw new Error("the event is not in this tree yet");
  let hash = await sha256(join(Uint8Array.of(0), entry)), fn = index, sn = size - 1;
  for (const sibling of path) {
    if (sn === 0) throw new Error("the proof is too long");
    if (fn % 2 === 1 || fn === sn) {
      hash = await sha256(join(Uint8Array.of(1), sibling, hash));
      while (fn % 2 === 0 && fn !== 0) { fn = Math.floor(fn / 2); sn = Math.floor(sn / 2) }
    } else hash = await sha256(join(Uint8Array.of(1), hash, sibling));
    fn = Math.floor(fn / 2); sn = Math.floor(sn / 2);
  }
  if (sn !== 0) throw new Error("the proof is too short");
  if (!equal(hash, root)) throw new Error("the event is not in this tree");
}

export async function entryOf(nonce, body) {
  return join(Uint8Array.of(1), await sha256(join(text("accredit.audit.v1\0"), nonce, body)));
}

export function readProof(proof) {
  const end = proof.indexOf("\n\n"), lines = proof.slice(0, end).split("\n");
  if (lines.shift() !== "c2sp.org/tlog-proof@v1") throw new Error("this is not a tlog-proof");
  if (lines[0]?.startsWith("extra ")) lines.shift();
  const index = lines.shift()?.match(/^index (0|[1-9][0-9]{0,15})$/);
  if (!index) throw new Error("the proof names no index");
  return { index: Number(index[1]), path: lines.map(bytes), checkpoint: proof.slice(end + 2) };
}

// The key of each log is remembered at first sight; another key for the same log, or a smaller tree, is a reason to shout.
function remember(tree, vkey) {
  const name = `accredit-log ${tree.origin}`, known = JSON.parse(localStorage.getItem(name) ?? "null");
  if (known && known.vkey !== vkey) throw new Error("the log's key is not the one that this browser saw before");
  if (known && known.size === tree.size && known.root !== base64(tree.root)) throw new Error("the log shows another root for the same size than before");
  if (!known || known.size < tree.size) localStorage.setItem(name, JSON.stringify({ vkey, size: tree.size, root: base64(tree.root) }));
  return known ? "the key that this browser saw before" : "a key that this browser sees for the first time";
}

const number = n => n.toLocaleString("en");
// As the page writes them: control and direction characters become a sign that can be seen.
const visible = string => string.replace(/[\u0000-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]/g, "\u2426");

function sameAsShown(value, shown) {
  if (value === null) return shown === "\u2014";
  if (typeof value === "number") return Number(shown) === value;
  if (Array.isArray(value)) return shown === (value.length ? value.map(visible).join(", ") : "\u2014");
  return shown === visible(String(value));
}

async function checkEvent(source, say) {
  const given = await read(source);
  const proof = readProof(given.proof), body = bytes(given.body);
  const tree = await checkNote(proof.checkpoint, given.vkey);
  say("ok", `The checkpoint of ${number(tree.size)} events is signed by ${tree.origin}, with ${remember(tree, given.vkey)}`);
  if (proof.index !== Number(document.querySelector("[data-seq]").dataset.seq)) throw new Error("the proof is of another event");
  await checkInclusion(await entryOf(bytes(given.nonce), body), proof.index, tree.size, proof.path, tree.root);
  say("ok", `Event ${number(proof.index)} is in it, by ${proof.path.length === 1 ? "1 hash" : `${proof.path.length} hashes`}`);
  const event = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(body));
  const shown = new Map([...document.querySelectorAll("[data-field]")].map(element => [element.dataset.field, element.textContent]));
  for (const field of Object.keys(event))
    if (!shown.has(field) || !sameAsShown(event[field], shown.get(field))) throw new Error(`this page shows another “${field}” than the event has`);
  say("ok", `All ${Object.keys(event).length} members are what this page shows`);
  return "Proved in this browser.";
}

async function checkCheckpoint(source, say) {
  const given = await read(source);
  const tree = await checkNote(given.checkpoint, given.vkey);
  say("ok", `The checkpoint of ${number(tree.size)} events is signed by ${tree.origin}, with ${remember(tree, given.vkey)}`);
  if (document.querySelector("[data-checkpoint]").textContent.trim() !== given.checkpoint.trim()) throw new Error("this page shows another checkpoint");
  say("ok", "It is the one that this page shows");
  return "The signature holds.";
}

// A new event waits up to some seconds for its checkpoint: 503 says so.
async function read(source) {
  for (let attempt = 0; ; attempt++) {
    const answer = await fetch(source);
    if (answer.redirected) throw new Error("you are signed out");
    if (answer.ok) return answer.json();
    if (answer.status !== 503 || attempt === 5) throw new Error(answer.status === 503 ? "no checkpoint covers this event yet" : "the server gave no proof");
    await new Promise(done => setTimeout(done, 1000));
  }
}

async function run(list, source, check) {
  const say = (kind, words) => {
    const item = document.createElement("li");
    item.className = kind;
    item.textContent = words;
    list.append(item);
  };
  const verdict = document.querySelector("[data-verdict]");
  list.replaceChildren();
  try {
    if (!crypto.subtle) throw new Error("this browser checks signatures only over https or on localhost; use the commands below");
    verdict.textContent = await check(source, say);
    verdict.className = "verdict ok";
  } catch (error) {
    verdict.textContent = "Not proved.";
    verdict.className = "verdict bad";
    say("bad", `Not proved: ${error.message}. Do not rely on this page: check the log without it, and tell your administrator.`);
  }
}

for (const list of document.querySelectorAll("[data-proof]")) run(list, list.dataset.proof, checkEvent);
for (const list of document.querySelectorAll("[data-note]")) run(list, list.dataset.note, checkCheckpoint);

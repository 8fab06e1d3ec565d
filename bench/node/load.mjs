// Load from autocannon. Standard input: {url, headers, body, bodies, next_from, expects, connections, seconds}; standard
// output: what came of it. autocannon's own histogram holds whole milliseconds, so the latencies are collected here.
import autocannon from "autocannon";

let text = "";
for await (const chunk of process.stdin) text += chunk;
const { url, headers, body, bodies, next_from, expects, connections, seconds } = JSON.parse(text);

const latencies = [];
let answered = 0;
let refused = 0;
let at = 0;
// Each body is sent once; with `next_from`, an answer brings the next.
const request = {
  setupRequest: (made) => ({ ...made, method: "POST", body: bodies[at++] ?? "ran=out" }),
  onResponse: (status, answer) => {
    const counts = expects ? answer.includes(expects) : status >= 200 && status <= 299;
    if (!counts) {
      refused += 1;
      return;
    }
    answered += 1;
    if (next_from) bodies.push(body.replace("{}", JSON.parse(answer)[next_from]));
  },
};
const started = performance.now();
const running = autocannon({
  ...{ url, headers, body, connections, duration: seconds, method: "POST", timeout: 10 },
  ...(bodies.length ? { requests: [request] } : {}),
});
running.on("response", (_client, status, _bytes, milliseconds) => {
  if (!(expects && bodies.length) && (status < 200 || status > 299)) return;
  if (!bodies.length) answered += 1;
  latencies.push(milliseconds);
});
const result = await running;
const elapsed = (performance.now() - started) / 1000;

latencies.sort((a, b) => a - b);
const percentile = (share) => latencies[Math.min(latencies.length - 1, Math.floor(latencies.length * share))] ?? null;
console.log(
  JSON.stringify({
    seconds: elapsed,
    answered,
    failures: {
      "no success": bodies.length ? refused : result.non2xx,
      "broken connections": result.errors - result.timeouts,
      "time-outs": result.timeouts,
    },
    p50_ms: percentile(0.5),
    p99_ms: percentile(0.99),
  }),
);

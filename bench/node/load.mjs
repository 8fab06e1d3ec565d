// Load from autocannon. Standard input: {url, headers, body, connections, seconds}; standard output: what came of it.
// autocannon's own histogram holds whole milliseconds, so the latencies are collected here.
import autocannon from "autocannon";

let text = "";
for await (const chunk of process.stdin) text += chunk;
const { url, headers, body, connections, seconds } = JSON.parse(text);

const latencies = [];
let answered = 0;
const started = performance.now();
const running = autocannon({ url, headers, body, connections, duration: seconds, method: "POST", timeout: 10 });
running.on("response", (_client, status, _bytes, milliseconds) => {
  if (status < 200 || status > 299) return;
  answered += 1;
  latencies.push(milliseconds);
});
const result = await running;
const elapsed = (performance.now() - started) / 1000;

latencies.sort((a, b) => a - b);
const at = (share) => latencies[Math.min(latencies.length - 1, Math.floor(latencies.length * share))] ?? null;
console.log(
  JSON.stringify({
    seconds: elapsed,
    answered,
    failures: {
      "no success": result.non2xx,
      "broken connections": result.errors - result.timeouts,
      "time-outs": result.timeouts,
    },
    p50_ms: at(0.5),
    p99_ms: at(0.99),
  }),
);

// Live regions. Every five seconds, while the tab is seen, the page fetches itself and replaces what changed in each
// <tbody id="decisions" data-live>. What a person may see is decided by the page's own route, every time.
const PERIOD = 5000, SPOKEN = 10000;
const link = document.querySelector("[data-link]");
const status = document.querySelector("[data-news]");
const pause = document.querySelector("[data-pause]");
const calm = matchMedia("(prefers-reduced-motion: reduce)");
let paused = false, timer = 0, last = new Date(), news = 0, spokenAt = 0;

// XMLHttpRequest parses HTML into an inert document and is no Trusted Types sink, so the policy can stay `trusted-types 'none'`.
const page = url => new Promise((done, failed) => {
  const request = new XMLHttpRequest();
  request.open("GET", url);
  request.responseType = "document";
  request.timeout = 10000;
  // What a page fetches by itself does not keep an unattended session alive.
  request.setRequestHeader("Accredit-Refresh", "1");
  request.onload = () => request.status === 200 && request.responseURL === url ? done(request.response) : failed(request.responseURL !== url);
  request.onerror = request.ontimeout = () => failed(false);
  request.send();
});

const say = words => { if (link.textContent !== words) link.textContent = words };
const clock = moment => moment.toISOString().slice(11, 19);

// Keyed by id: an unchanged row stays the same node, so focus and selection survive.
function patch(region, fresh) {
  const next = new Map([...fresh.children].map(child => [child.id, child]));
  const held = document.activeElement, lost = region.contains(held);
  for (const child of [...region.children]) if (!child.id || !next.get(child.id)?.isEqualNode(child)) child.remove();
  let at = region.firstElementChild, added = 0;
  for (const child of fresh.children) {
    if (at && at.id === child.id) { at = at.nextElementSibling; continue }
    const node = document.importNode(child, true);
    region.insertBefore(node, at);
    if ("rows" in region.dataset) {
      added += 1;
      if (!calm.matches) node.animate([{ background: "var(--accent-bg)" }, { background: "transparent" }], { duration: 2000, easing: "ease-out" });
    }
  }
  if (lost && !region.contains(held)) document.getElementById(region.dataset.heading)?.focus();
  return added;
}

async function refresh() {
  clearTimeout(timer);
  if (paused || document.hidden) return;
  try {
    const fresh = await page(location.href.split("#")[0]);
    for (const region of document.querySelectorAll("[data-live]")) {
      const from = fresh.getElementById(region.id);
      if (from) news += patch(region, from);
    }
    last = new Date();
    say("Live");
    if (news && last - spokenAt > SPOKEN) {
      status.textContent = news === 1 ? "1 new event" : `${news} new events`;
      news = 0; spokenAt = last;
    }
  } catch (elsewhere) {
    if (elsewhere === true) { location.reload(); return }  // the session ended: the page says what to do
    say(`Not live. Last update ${clock(last)}. Trying again in 5 s.`);
  }
  timer = setTimeout(refresh, PERIOD);
}

pause.hidden = false;
pause.addEventListener("click", () => {
  paused = !paused;
  pause.textContent = paused ? "Go on" : "Pause";
  say(paused ? `Paused at ${clock(last)}` : "Live");
  if (!paused) refresh();
});
document.addEventListener("visibilitychange", () => document.hidden || refresh());
say("Live");
timer = setTimeout(refresh, PERIOD);

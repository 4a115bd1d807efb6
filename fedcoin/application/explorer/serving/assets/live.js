// Keeps an open page up to date. The server tells of each block; this script then fetches the page
// again and puts in the parts that changed. It makes no HTML of its own: the browser parses the
// page as an inert document (XMLHttpRequest), and its elements are moved over.

const MIN_PAUSE_MS = 1000;

const status = document.getElementById("live");
let lastFetch = 0;
let timer = 0;
let isFetching = false;
let isStale = false;

function say(state, text) {
  status.dataset.state = state;
  if (status.textContent !== text) status.textContent = text;
}

function schedule() {
  isStale = true;
  if (timer || isFetching || document.hidden) return;
  timer = setTimeout(refresh, Math.max(0, lastFetch + MIN_PAUSE_MS - Date.now()));
}

function refresh() {
  timer = 0;
  isStale = false;
  isFetching = true;
  lastFetch = Date.now();
  const request = new XMLHttpRequest();
  request.open("GET", location.href);
  request.responseType = "document";
  request.timeout = 15000;
  request.onloadend = () => {
    isFetching = false;
    const page = request.response;
    if (page && page.getElementById("main")) put(page);
    if (isStale) schedule();
  };
  request.send();
}

function put(page) {
  const main = document.getElementById("main");
  const newMain = page.getElementById("main");
  const hasFailed = (element) => element.querySelector("[data-failure]") !== null;
  if (hasFailed(main) || hasFailed(newMain)) {
    if (hasFailed(main) !== hasFailed(newMain)) replace(main, newMain);
    document.title = page.title;
    return;
  }
  for (const part of main.querySelectorAll("[data-live]")) {
    const newPart = page.getElementById(part.id);
    if (newPart && newPart.outerHTML !== part.outerHTML) replace(part, newPart);
  }
  showAges();
}

// Puts a part in, and keeps the focus and how far tables were scrolled.
function replace(part, newPart) {
  const focused = part.contains(document.activeElement) ? pathOf(part, document.activeElement) : null;
  const scrolled = [...part.querySelectorAll("[role=region]")].map((region) => region.scrollLeft);
  const adopted = document.adoptNode(newPart);
  part.replaceWith(adopted);
  [...adopted.querySelectorAll("[role=region]")].forEach((region, index) => {
    region.scrollLeft = scrolled[index] || 0;
  });
  if (focused) {
    const again = find(adopted, focused);
    if (again) again.focus({ preventScroll: true });
  }
}

// What has the focus: a link by its address, everything else by its place.
function pathOf(part, element) {
  if (element.getAttribute("href")) return { href: element.getAttribute("href") };
  const same = [...part.querySelectorAll(element.localName)];
  return { name: element.localName, index: same.indexOf(element) };
}

function find(part, { href, name, index }) {
  if (name) return part.querySelectorAll(name)[index];
  return [...part.querySelectorAll("a")].find((link) => link.getAttribute("href") === href);
}

// Times of the last hour are shown as ages; the pointer shows the time itself.
function showAges() {
  for (const time of document.querySelectorAll("time")) {
    const seconds = (Date.now() - Date.parse(time.dateTime)) / 1000;
    if (!time.title) time.title = time.textContent;
    const age = seconds < 60 ? `${Math.floor(seconds)} s ago` : `${Math.floor(seconds / 60)} min ago`;
    const text = seconds >= 0 && seconds < 3600 ? age : time.title;
    if (time.textContent !== text) time.textContent = text;
  }
}

// Screen readers hear of the connection and of rounds, not of every block.
function onBlock(event) {
  const block = JSON.parse(event.data);
  const tasks = block.tasks.map(({ round, phase }) => `round ${round}: ${phase}`);
  say("live", tasks.length ? `live, ${tasks.join(", ")}` : "live");
  schedule();
}

function onNode(event) {
  const { connected } = JSON.parse(event.data);
  say(connected ? "live" : "lost", connected ? "live" : "node not connected");
  schedule();
}

const events = new EventSource("/events");
events.addEventListener("block", onBlock);
events.addEventListener("node", onNode);
events.onerror = () => say("lost", "connection lost, trying again");
document.addEventListener("visibilitychange", () => {
  if (!document.hidden && isStale) schedule();
});
setInterval(showAges, 1000);
showAges();

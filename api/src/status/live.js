// Keeps the status page live: the server sends the page's main part again whenever it changed.
const main = document.querySelector("#status");
const state = document.querySelector("#live");

const say = (text) => {
  if (state.textContent !== text) state.textContent = text;
};

const source = new EventSource("/v1/events");
source.addEventListener("open", () => say("live"));
source.addEventListener("error", () => {
  const time = new Date().toISOString().slice(11, 19);
  if (!state.textContent.startsWith("offline")) say(`offline since ${time} UTC, reconnecting`);
});
source.addEventListener("status", (event) => {
  say("live");
  const fragment = document.createElement("template");
  fragment.innerHTML = event.data; // made and escaped by our own server
  main.replaceChildren(fragment.content);
});
document.addEventListener("visibilitychange", () => {
  if (document.visibilityState === "visible" && source.readyState === EventSource.CLOSED) location.reload();
});

"use strict";
// Photographs by the server's number: {name, width, height, preview, doubt, result}.
const photographs = new Map();
let current = null;
// Adaptors that are on, in the order in which they were switched on: a sequence takes them so.
const order = [];
const $ = (id) => document.getElementById(id);
const form = $("settings");

async function ask(address, options) {
  const response = await fetch(address, { ...options, headers: { "X-Retina-Adapt": "1" } });
  const answer = await response.json().catch(() => ({ error: `the app answered ${response.status}; is it still running?` }));
  if (!response.ok) throw new Error(answer.error);
  return answer;
}

function say(text, busy = false) {
  $("message").textContent = text;
  $("message").hidden = !text;
  document.body.classList.toggle("is-busy", busy);
}

function list() {
  $("photographs").replaceChildren(...[...photographs].map(([number, photograph]) => {
    const item = document.createElement("li"), choose = document.createElement("button"), remove = document.createElement("button");
    item.dataset.number = number;
    item.setAttribute("aria-current", number === current);
    item.classList.toggle("is-warned", Boolean(photograph.result?.warned));
    choose.type = remove.type = "button";
    choose.className = "choose";
    const picture = Object.assign(document.createElement("img"), { src: photograph.preview, alt: "" });
    const name = Object.assign(document.createElement("span"), { textContent: photograph.name });
    const state = !photograph.result ? `${photograph.width} × ${photograph.height} px` : photograph.result.warned ? "▲ enhanced, with a warning" : "enhanced";
    name.append(Object.assign(document.createElement("small"), { className: "state", textContent: state }));
    choose.append(picture, name);
    choose.addEventListener("click", () => show(number));
    remove.className = "remove";
    remove.textContent = "×";
    remove.setAttribute("aria-label", `Remove ${photograph.name}`);
    remove.addEventListener("click", () => forget(number));
    item.append(choose, remove);
    return item;
  }));
  $("enhance").disabled = current === null;
  $("enhance-all").disabled = photographs.size === 0;
  $("report").hidden = ![...photographs.values()].some((photograph) => photograph.result);
}

function show(number) {
  current = number;
  const photograph = photographs.get(number), result = photograph?.result;
  $("welcome").hidden = Boolean(photograph);
  $("preview").hidden = !photograph || Boolean(result);
  $("download").hidden = !result;
  $("doubt").textContent = photograph?.doubt ?? "";
  $("doubt").hidden = !photograph?.doubt;
  $("result").replaceChildren();
  if (result) {
    // Made by the app's own templates, which escape what they are given.
    $("result").innerHTML = result.html;
    $("result").querySelectorAll(".viewer").forEach(activateViewer);
    $("download").href = result.download;
    $("download").download = result.file;
    $("download").textContent = `Download ${result.file}`;
  } else if (photograph) {
    $("preview").querySelector("h2").textContent = photograph.name;
    $("preview").querySelector("p").textContent = `${photograph.width} × ${photograph.height} px · not enhanced yet`;
    $("preview").querySelector("img").src = photograph.preview;
    $("preview").querySelector("img").alt = photograph.name;
  }
  list();
}

async function add(files) {
  const failures = [];
  for (const file of files) {
    say(`Reading ${file.name} …`, true);
    try {
      const answer = await ask(`/photographs?name=${encodeURIComponent(file.name)}`, { method: "POST", body: file });
      photographs.set(answer.number, answer);
      show(answer.number);
    } catch (error) { failures.push(error.message); }
  }
  say(failures.join("\n"));
}

async function forget(number) {
  await ask(`/photographs/${number}`, { method: "DELETE" }).catch(() => {});
  photographs.delete(number);
  show(current === number ? [...photographs.keys()][0] ?? null : current);
}

async function download(event) {
  // A link that is refused would leave an empty tab, or a failed download without a reason.
  event.preventDefault();
  const { download, file } = photographs.get(current).result;
  try {
    const response = await fetch(download);
    if (!response.ok) throw new Error((await response.json()).error);
    const content = URL.createObjectURL(await response.blob());
    Object.assign(document.createElement("a"), { href: content, download: file }).click();
    setTimeout(() => URL.revokeObjectURL(content), 60000);
    say("");
  } catch (error) { say(error.message); }
}

function inSequence() {
  return Boolean(form.elements.in_sequence?.checked);
}

function weigh() {
  for (const slider of form.querySelectorAll("[data-adaptor]")) {
    const name = slider.dataset.adaptor, place = order.indexOf(name), weight = slider.valueAsNumber;
    if (weight && place < 0) order.push(name);
    if (!weight && place >= 0) order.splice(place, 1);
  }
  for (const slider of form.querySelectorAll("[data-adaptor]")) {
    const place = order.indexOf(slider.dataset.adaptor) + 1, weight = slider.valueAsNumber.toFixed(2);
    slider.nextElementSibling.value = !place ? "off" : inSequence() && order.length > 1 ? `${place}. ${weight}` : weight;
  }
}

function wanted() {
  const weightOf = (name) => [...form.querySelectorAll("[data-adaptor]")].find((slider) => slider.dataset.adaptor === name).valueAsNumber;
  const { mode, detail, steps, seed, seeds } = form.elements;
  return {
    weights: order.map((name) => [name, weightOf(name)]),
    in_sequence: inSequence(),
    mode: mode.value, detail: detail.value, steps: steps.value, seed: seed.value, seeds: seeds.value,
  };
}

async function enhance(numbers) {
  const failures = [], settings = wanted(), buttons = [$("enhance"), $("enhance-all")];
  for (const [place, number] of numbers.entries()) {
    const photograph = photographs.get(number);
    if (!photograph) continue;
    say(`Enhancing ${photograph.name}${numbers.length > 1 ? ` (${place + 1} of ${numbers.length})` : ""} …`, true);
    buttons.forEach((button) => { button.disabled = true; });
    try {
      photograph.result = await ask(`/photographs/${number}/enhance`, { method: "POST", body: JSON.stringify(settings) });
      if (photographs.has(number)) show(number);
    } catch (error) { failures.push(error.message); }
  }
  say(failures.join("\n"));
  list();
}

$("files").addEventListener("change", (event) => { add([...event.target.files]).then(() => { event.target.value = ""; }); });
for (const kind of ["dragover", "dragleave", "drop"]) {
  document.addEventListener(kind, (event) => {
    event.preventDefault();
    $("drop").classList.toggle("is-over", kind === "dragover");
    if (kind === "drop") add([...event.dataTransfer.files]);
  });
}
form.addEventListener("input", weigh);
// "change", since browsers that are driven by programs and assistive technology send no "input" of a choice.
form.addEventListener("change", () => {
  // Disabled too: a number out of its range that is not to be seen would keep the form from being submitted.
  $("sampling").hidden = $("sampling").disabled = form.elements.mode.value !== "diffusion";
  weigh();
});
form.addEventListener("submit", (event) => {
  event.preventDefault();
  enhance([current]);
});
$("download").addEventListener("click", download);
$("enhance-all").addEventListener("click", () => { if (form.reportValidity()) enhance([...photographs.keys()]); });
form.dispatchEvent(new Event("change"));
list();
// A page that is loaded anew finds what the app still holds.
ask("/photographs").then((answer) => {
  for (const photograph of answer.photographs) photographs.set(photograph.number, photograph);
  if (answer.photographs.length) show(answer.photographs[0].number);
}).catch((error) => say(error.message));

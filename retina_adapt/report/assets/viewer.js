"use strict";
// Turns one photograph's pictures into a stage with views, a before/after border and enlargement.
const VIEW_NAMES = { compare: "Before | after", before: "Before", after: "After", change: "Change", vessels: "Vessels", uncertainty: "Uncertainty" };

function activateViewer(viewer) {
  const stage = viewer.querySelector(".stage"), frame = viewer.querySelector(".frame");
  const slider = viewer.querySelector(".slide input"), first = stage.querySelector("img");
  const layers = [...viewer.querySelectorAll("[data-layer]")].map((layer) => layer.dataset.layer);
  viewer.classList.add("is-interactive");

  const addButtons = (group, names, choose) => {
    const buttons = Object.entries(names).map(([value, name]) => {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = name;
      button.dataset.value = value;
      button.addEventListener("click", () => select(value));
      group.append(button);
      return button;
    });
    const select = (value) => {
      buttons.forEach((button) => button.setAttribute("aria-pressed", button.dataset.value === value));
      choose(value);
    };
    return select;
  };
  const present = Object.entries(VIEW_NAMES).filter(([value]) => value === "compare" || layers.includes(value));
  const show = addButtons(viewer.querySelector(".views"), Object.fromEntries(present), (view) => { viewer.dataset.view = view; });
  const zoom = addButtons(viewer.querySelector(".zooms"), { 1: "Fit", 2: "2×", 4: "4×" }, (factor) => {
    const before = Number(stage.style.getPropertyValue("--zoom")) || 1;
    const middle = [frame.scrollLeft + frame.clientWidth / 2, frame.scrollTop + frame.clientHeight / 2];
    stage.style.setProperty("--zoom", factor);
    frame.scrollTo(middle[0] * factor / before - frame.clientWidth / 2, middle[1] * factor / before - frame.clientHeight / 2);
  });

  const fit = () => {
    // Not clientWidth: scroll bars, which come with enlargement, would change what fits.
    const width = frame.offsetWidth - 2, height = frame.offsetHeight - 2;
    if (!first.naturalWidth || width <= 0) return;
    const ratio = first.naturalWidth / first.naturalHeight;
    stage.style.setProperty("--ratio", ratio);
    stage.style.setProperty("--fit", `${Math.floor(Math.min(width, height * ratio))}px`);
  };
  const cutAt = (percent) => {
    slider.value = Math.round(percent);
    stage.style.setProperty("--cut", `${percent}%`);
  };
  slider.addEventListener("input", () => cutAt(slider.valueAsNumber));
  const follow = (event) => {
    const box = stage.getBoundingClientRect();
    cutAt(Math.max(0, Math.min(100, 100 * (event.clientX - box.left) / box.width)));
  };
  stage.addEventListener("pointerdown", (event) => {
    if (viewer.dataset.view !== "compare" || event.button !== 0) return;
    stage.setPointerCapture(event.pointerId);
    follow(event);
  });
  stage.addEventListener("pointermove", (event) => { if (stage.hasPointerCapture(event.pointerId)) follow(event); });

  new ResizeObserver(fit).observe(frame);
  if (first.complete) fit(); else first.addEventListener("load", fit);
  show("compare");
  zoom("1");
}

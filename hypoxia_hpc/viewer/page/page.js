"use strict";
/* The viewer's page. Text from the run is only ever set as text, never as HTML. In a static export, EXPORTED holds what
   a server would answer. */

const byId = id => document.getElementById(id);
const FILTERS = ["set_name", "label", "call", "is_wrong", "quality"];
const ERRORS = { true: "wrong", false: "right", null: "not known" };
const state = { shown: null, list: [], slide: null, described: null, overlay: "", fade: 0.6, hidden: false, viewer: null,
  image: null, asked: 0, put: 0 };

async function answerTo(path) {
  if (window.EXPORTED) {
    if (!Object.hasOwn(window.EXPORTED, path)) throw new Error("It is not part of this export.");
    return window.EXPORTED[path];
  }
  const answer = await fetch(path);
  if (!answer.ok) throw new Error(await answer.text());
  return answer.json();
}

function element(name, className, text) {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

function saidOf(slide) {
  const parts = [slide.set_name, slide.label && `label ${slide.label}`];
  const value = slide.values.length === 1 ? ` (${slide.values[0].toFixed(2)})` : "";
  if (slide.call) parts.push(`predicted ${slide.call}${value}`);
  else if (slide.values.length) parts.push(`predicted ${slide.values.map(one => one.toFixed(2)).join(", ")}`);
  if (slide.quality && slide.quality !== "nothing stands out") parts.push(`quality: ${slide.quality}`);
  return parts.filter(Boolean).join(" · ");
}

/* --- the list --- */

function fillFilters() {
  for (const name of FILTERS) {
    const values = [...new Set(state.shown.slides.map(slide => String(slide[name] ?? "null")))].sort();
    const known = values.filter(value => value !== "" && value !== "null");
    const options = [new Option("all", "*"), ...values.map(value => new Option(textOf(name, value), value))];
    byId(name).replaceChildren(...options);
    byId(name).parentElement.hidden = known.length === 0;
  }
  byId("tiles").hidden = !state.shown.model;
  byId("order").parentElement.hidden = !state.shown.slides.some(slide => slide.values.length === 1);
}

function textOf(name, value) {
  if (name === "is_wrong") return ERRORS[value];
  return value === "" || value === "null" ? "none" : value;
}

function passes(slide) {
  const words = byId("search").value.trim().toLowerCase();
  const text = `${slide.slide_id} ${slide.name} ${slide.patient_id}`.toLowerCase();
  return text.includes(words) && FILTERS.every(name => {
    const wanted = byId(name).value;
    return wanted === "*" || wanted === String(slide[name] ?? "null");
  });
}

function refreshList() {
  const order = byId("order").value, sign = order === "high" ? -1 : 1;
  state.list = state.shown.slides.filter(passes);
  if (order) state.list.sort((a, b) => sign * ((a.values[0] ?? sign * Infinity) - (b.values[0] ?? sign * Infinity)));
  byId("slides").replaceChildren(...state.list.map(listItem));
  const n = state.list.length, all = state.shown.slides.length;
  byId("count").textContent = `${n === all ? "" : `${n.toLocaleString("en")} of `}${all.toLocaleString("en")} ${all === 1 ? "slide" : "slides"}`;
  markCurrent();
}

function listItem(slide) {
  const item = element("li"), button = element("button"), text = element("span"), picture = element("img");
  picture.alt = "";
  picture.loading = "lazy";
  picture.addEventListener("error", () => { picture.hidden = true; });
  picture.src = `slides/${slide.key}.jpg`;
  text.append(element("strong", "", slide.slide_id));
  if (!nameTells(slide)) text.append(element("span", "muted file", slide.name));
  text.append(element("span", "muted", saidOf(slide)));
  if (slide.is_wrong) text.append(element("span", "muted wrong", " · wrong"));
  button.type = "button";
  button.dataset.key = slide.key;
  button.title = slide.name;
  button.append(picture, text);
  button.addEventListener("click", () => show(slide, {}));
  item.append(button);
  return item;
}

/* An id is made of the file's name; of an odd one little is left. */
const nameTells = slide => slide.name.split("/").pop().startsWith(slide.slide_id);

function markCurrent() {
  for (const button of byId("slides").querySelectorAll("button")) {
    const isCurrent = state.slide !== null && button.dataset.key === state.slide.key;
    button.setAttribute("aria-current", String(isCurrent));
    if (isCurrent) button.scrollIntoView({ block: "nearest" });
  }
}

function step(by) {
  const at = state.list.findIndex(slide => state.slide && slide.key === state.slide.key);
  const next = state.list[at < 0 ? 0 : at + by];
  if (next) show(next, {});
}

/* --- one slide --- */

/* ``place``: the middle of the view in pixels of level 0, and its zoom; or a tile, by its upper left corner there. */
async function show(slide, place) {
  const asked = ++state.asked;
  state.slide = slide;
  state.described = state.image = null;
  markTile(place.tile ?? null);
  markCurrent();
  byId("name").textContent = slide.slide_id;
  byId("facts").textContent = [slide.patient_id && slide.patient_id !== slide.slide_id && `patient ${slide.patient_id}`,
    saidOf(slide)].filter(Boolean).join(" · ");
  document.title = `${slide.slide_id} · ${state.shown.title}`;
  let described;
  try {
    described = await answerTo(`slides/${slide.key}.json`);
  } catch (error) {
    if (asked === state.asked) fail(String(error.message || error));
    return;
  }
  if (asked !== state.asked) return;
  state.described = described;
  say(described.note);
  openImage(slide, described, place);
  if (strip.isOpen) showStrip();
}

function fail(text) {
  say(`This slide cannot be shown. ${text}`);
  state.viewer.close();
  showNavigator(false);
  fillOverlays([]);
  drawLegend(null);
  drawScale();
  history.replaceState(null, "", `#${new URLSearchParams({ slide: state.slide.slide_id, ...linkOfStrip() })}`);
  if (strip.isOpen) showStrip();
}

function showNavigator(isShown) {
  state.viewer.navigator.element.style.visibility = isShown ? "visible" : "hidden";
}

function say(text) {
  byId("problem").textContent = text;
  byId("problem").hidden = !text;
}

function openImage(slide, described, place) {
  fillOverlays(described.overlays);
  state.viewer.addOnceHandler("open", () => {
    showNavigator(true);
    putOverlay();
    goTo(place);
    drawScale();
    keepLink();
  });
  state.viewer.open(pyramidOf(described, described.tile_px, 0, `slides/${slide.key}_files`, "jpg"));
}

function pyramidOf(described, tilePx, firstLevel, folder, ending) {
  return {
    width: described.width,
    height: described.height,
    tileSize: tilePx,
    tileOverlap: 0,
    minLevel: firstLevel,
    maxLevel: described.last_level,
    getTileUrl: (level, x, y) => `${folder}/${level}/${x}_${y}.${ending}`,
  };
}

/* The slide itself; an overlay is another image over it. */
const slideImage = () => state.viewer.world.getItemAt(0);

function goTo(place) {
  const view = state.viewer.viewport, factor = state.described.factor || 1, image = slideImage();
  putMark();
  const seen = place.zoom > 0 ? place : place.tile ? viewOfTile(place.tile) : null;
  if (seen === null) return;
  const { width, height } = state.described;
  view.zoomTo(within(image.imageToViewportZoom(seen.zoom * factor), view.getMinZoom(), view.getMaxZoom()), null, true);
  view.panTo(image.imageToViewportCoordinates(within(seen.x / factor, 0, width), within(seen.y / factor, 0, height)), true);
}

const within = (value, low, high) => Math.min(Math.max(value, low), high);

/* --- overlays --- */

function fillOverlays(overlays) {
  const names = overlays.map(one => one.name);
  byId("overlay").replaceChildren(new Option("none", ""), ...names.map(name => new Option(name, name)));
  byId("overlay").parentElement.hidden = byId("fade").parentElement.hidden = names.length === 0;
  byId("overlay").value = names.includes(state.overlay) ? state.overlay : "";
}

function putOverlay() {
  const world = state.viewer.world, put = ++state.put, described = state.described;
  if (state.image && world.getIndexOfItem(state.image) >= 0) world.removeItem(state.image);
  state.image = null;
  const name = byId("overlay").value;
  const number = described ? described.overlays.findIndex(one => one.name === name) : -1;
  drawLegend(number < 0 ? null : described.overlays[number]);
  if (number < 0) return;
  const folder = `overlays/${state.slide.key}/${number}_files`;
  state.viewer.addTiledImage({
    tileSource: pyramidOf(described, described.overlay_px, described.overlay_first_level, folder, "png"),
    opacity: opacity(),
    success: ({ item }) => {
      if (put !== state.put) return world.removeItem(item);
      state.image = item;
      return fade();
    },
  });
}

const opacity = () => state.hidden ? 0 : state.fade;

function fade() {
  byId("fade").value = Math.round(state.fade * 100);
  if (state.image) state.image.setOpacity(opacity());
}

function drawLegend(overlay) {
  const legend = byId("legend");
  legend.hidden = overlay === null;
  if (overlay === null) return;
  legend.replaceChildren(element("div", "", overlay.title));
  if (overlay.bar) {
    const ends = element("div", "ends");
    ends.append(element("span", "", overlay.low), element("span", "", overlay.high));
    legend.append(colourBar(overlay.bar), ends);
  } else {
    legend.append(...overlay.classes.map(([colour, text]) => {
      const item = element("span", "class", text);
      item.prepend(swatches([colour], 10, 10));
      return item;
    }));
  }
}

function colourBar(colours) {
  const bar = swatches(colours, 240, 10);
  bar.setAttribute("class", "bar");
  bar.setAttribute("preserveAspectRatio", "none");
  return bar;
}

function swatches(colours, width, height) {
  const SVG = "http://www.w3.org/2000/svg", picture = document.createElementNS(SVG, "svg");
  picture.setAttribute("viewBox", `0 0 ${colours.length} 1`);
  picture.setAttribute("width", width);
  picture.setAttribute("height", height);
  picture.setAttribute("aria-hidden", "true");
  picture.setAttribute("shape-rendering", "crispEdges");
  colours.forEach((colour, at) => {
    const one = document.createElementNS(SVG, "rect");
    for (const [name, value] of Object.entries({ x: at, y: 0, width: 1.02, height: 1, fill: colour })) {
      one.setAttribute(name, value);
    }
    picture.append(one);
  });
  return picture;
}

/* --- the scale bar and the link --- */

function drawScale() {
  const bar = byId("scale"), described = state.described;
  bar.hidden = !described || !described.mpp || !state.viewer.isOpen();
  if (bar.hidden) return;
  const view = state.viewer.viewport;
  const micrometres = described.mpp * (described.factor || 1) / slideImage().viewportToImageZoom(view.getZoom(true));
  const power = 10 ** Math.floor(Math.log10(micrometres * 150));
  const length = [5, 2, 1].map(one => one * power).find(one => one / micrometres <= 150);
  bar.firstElementChild.style.width = `${length / micrometres}px`;
  bar.firstElementChild.textContent = length >= 1000 ? `${length / 1000} mm` : `${Number(length.toPrecision(3))} µm`;
}

function keepLink() {
  if (!state.described || !state.viewer.isOpen()) return;
  const view = state.viewer.viewport, factor = state.described.factor || 1, image = slideImage();
  const centre = image.viewportToImageCoordinates(view.getCenter(true));
  const words = new URLSearchParams({
    slide: state.slide.slide_id,
    x: Math.round(centre.x * factor),
    y: Math.round(centre.y * factor),
    zoom: Number((image.viewportToImageZoom(view.getZoom(true)) / factor).toPrecision(6)),
    overlay: byId("overlay").value,
    strength: Math.round(state.fade * 100),
    ...linkOfStrip(),
  });
  history.replaceState(null, "", `#${words}`);
}

function followLink() {
  const words = new URLSearchParams(location.hash.slice(1));
  const slide = state.shown.slides.find(one => one.slide_id === words.get("slide"));
  if (words.has("slide") && !slide) say(`There is no slide ${words.get("slide")} here.`);
  if (!slide) return state.list.length > 0 && !words.has("slide") ? show(state.list[0], {}) : undefined;
  const strength = Number(words.get("strength") ?? 60);
  const [x, y, zoom] = ["x", "y", "zoom"].map(name => Number(words.get(name))).map(one => Number.isFinite(one) ? one : 0);
  state.overlay = words.get("overlay") ?? state.overlay;
  state.fade = Number.isFinite(strength) ? Math.min(Math.max(strength / 100, 0), 1) : state.fade;
  followStrip(words.get("gallery"));
  return show(slide, { x, y, zoom, tile: tileOfLink(words.get("tile")) });
}

/* --- what the user does --- */

function chooseOverlay(name) {
  state.overlay = byId("overlay").value = name;
  putOverlay();
  keepLink();
}

function nextOverlay() {
  const names = [...byId("overlay").options].map(one => one.value);
  chooseOverlay(names[(names.indexOf(byId("overlay").value) + 1) % names.length]);
}

function fadeTo(value) {
  state.fade = Math.min(Math.max(value, 0), 1);
  state.hidden = false;
  fade();
  keepLink();
}

function toggleKeys() {
  byId("keys").hidden = !byId("keys").hidden;
  byId("help").setAttribute("aria-expanded", String(!byId("keys").hidden));
}

const pan = (x, y) => {
  if (!state.viewer.isOpen()) return;
  const view = state.viewer.viewport, seen = view.getBounds();
  view.panBy(new OpenSeadragon.Point(x * seen.width / 5, y * seen.height / 5));
};
const zoom = by => state.viewer.isOpen() && state.viewer.viewport.zoomBy(by);
const KEYS = {
  j: () => step(1), k: () => step(-1), o: nextOverlay, "[": () => fadeTo(state.fade - 0.1), "]": () => fadeTo(state.fade + 0.1),
  h: () => { state.hidden = !state.hidden; fade(); }, "/": () => byId("search").focus(), "?": toggleKeys,
  g: toggleStrip, n: () => stepTile(1), p: () => stepTile(-1),
  0: () => state.viewer.isOpen() && state.viewer.viewport.goHome(), "+": () => zoom(1.5), "=": () => zoom(1.5), "-": () => zoom(1 / 1.5),
  ArrowLeft: () => pan(-1, 0), ArrowRight: () => pan(1, 0), ArrowUp: () => pan(0, -1), ArrowDown: () => pan(0, 1),
};

function onKey(event) {
  const typing = event.target.closest("input, select");
  if (event.key === "Escape" && typing) typing.blur();
  if (typing || event.ctrlKey || event.metaKey || event.altKey || !Object.hasOwn(KEYS, event.key)) return;
  event.preventDefault();
  KEYS[event.key]();
}

async function copyLink() {
  keepLink();
  const button = byId("link");
  try {
    await navigator.clipboard.writeText(location.href);
    button.textContent = "Copied";
  } catch {
    button.textContent = "It is in the address bar";
  }
  setTimeout(() => { button.textContent = "Copy link"; }, 2000);
}

function listen() {
  for (const name of [...FILTERS, "order"]) byId(name).addEventListener("change", refreshList);
  byId("search").addEventListener("input", refreshList);
  byId("filters").addEventListener("submit", event => event.preventDefault());
  byId("overlay").addEventListener("change", event => chooseOverlay(event.target.value));
  byId("fade").addEventListener("input", event => fadeTo(event.target.value / 100));
  byId("tiles").addEventListener("click", toggleStrip);
  byId("gallery").addEventListener("change", event => chooseGallery(event.target.value));
  byId("link").addEventListener("click", copyLink);
  byId("help").addEventListener("click", toggleKeys);
  document.addEventListener("keydown", onKey);
  window.addEventListener("hashchange", followLink);
  state.viewer.addHandler("animation", drawScale);
  state.viewer.addHandler("animation-finish", keepLink);
}

async function begin() {
  state.viewer = OpenSeadragon({
    element: byId("viewer"), drawer: "canvas", showNavigationControl: false, showNavigator: true,
    navigatorPosition: "TOP_LEFT", navigatorSizeRatio: 0.14, navigatorBackground: "#eceff3", maxZoomPixelRatio: 4, visibilityRatio: 0.3,
    preserveImageSizeOnResize: true,
    gestureSettingsMouse: { clickToZoom: false, dblClickToZoom: true }, keyboardShortcuts: false,
  });
  state.viewer.innerTracker.keyHandler = state.viewer.innerTracker.keyDownHandler = null;
  state.shown = await answerTo("slides.json");
  byId("title").textContent = state.shown.title;
  byId("model").textContent = state.shown.model ? `predictions of patients by ${state.shown.model}` : state.shown.note;
  fillFilters();
  refreshList();
  listen();
  await followLink();
}

begin().catch(error => say(String(error.message || error)));

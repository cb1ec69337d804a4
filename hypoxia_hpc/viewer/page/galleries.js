"use strict";
/* The strip of tiles that stand out, of the cohort and of the slide that is shown; a click shows a tile's place. page.js
   has what both use. ``name`` is that of a gallery in links: one of a slide begins with OWN. */

const OWN = "slide-";
const NOTHING = { who: "", galleries: [], unread: [] };
const strip = { isOpen: false, name: "", cohort: null, own: NOTHING, asked: 0, tile: null };

function toggleStrip() {
  if (byId("tiles").hidden) return say(`There are no galleries: ${state.shown.note || "slides without a run have no predictions"}.`);
  if (!strip.isOpen) return void showStrip();
  closeStrip();
  keepLink();
}

function closeStrip() {
  strip.isOpen = false;
  byId("strip").hidden = true;
  byId("tiles").setAttribute("aria-expanded", "false");
}

async function showStrip() {
  const asked = ++strip.asked, slide = state.slide;
  strip.isOpen = true;
  byId("strip").hidden = false;
  byId("tiles").setAttribute("aria-expanded", "true");
  if (!strip.cohort) byId("of").textContent = "The tiles are being chosen. Of a large cohort this takes a while.";
  const cohort = strip.cohort ?? await galleriesAt("galleries/index.json");
  const own = slide ? await galleriesAt(`galleries/${slide.key}/index.json`, slide) : NOTHING;
  if (asked !== strip.asked) return;
  Object.assign(strip, { cohort, own });
  fillGalleries();
}

async function galleriesAt(path, slide) {
  try {
    const found = await answerTo(path);
    const folder = path.replace("index.json", "");
    return { ...NOTHING, ...found, galleries: found.galleries.map(one => ({ ...one, folder })), slide };
  } catch (error) {
    return { ...NOTHING, note: String(error.message || error) };
  }
}

function fillGalleries() {
  const options = [["Cohort", "", strip.cohort], ["This slide", OWN, strip.own]].flatMap(([whose, prefix, found]) =>
    found.galleries.map(one => new Option(`${whose}: ${one.title}`, prefix + one.name)));
  const select = byId("gallery"), names = options.map(one => one.value);
  select.replaceChildren(...options);
  select.parentElement.hidden = names.length === 0;
  chooseGallery(names.includes(strip.name) ? strip.name : names[0] ?? "");
}

function chooseGallery(name) {
  const found = name.startsWith(OWN) ? strip.own : strip.cohort;
  const gallery = found.galleries.find(one => one.name === name.replace(OWN, ""));
  strip.name = byId("gallery").value = name;
  const notes = gallery ? [found.who, gallery.note, ...found.unread] : [strip.cohort.note, strip.own.note];
  byId("of").textContent = notes.filter(Boolean).join(" · ");
  const hadFocus = byId("shown_tiles").contains(document.activeElement);
  byId("shown_tiles").replaceChildren(...(gallery ? gallery.tiles.map(tile => tileItem(tile, gallery.folder)) : []));
  markTile(strip.tile);
  if (hadFocus) byId("shown_tiles").querySelector("[aria-current=true]")?.focus();
  keepLink();
}

function tileItem(tile, folder) {
  const slide = state.shown.slides.find(one => one.key === tile.key);
  const item = element("li"), button = element("button"), hasPicture = tile.picture !== null;
  const picture = element(hasPicture ? "img" : "span", hasPicture ? "" : "no-picture");
  if (hasPicture) Object.assign(picture, { alt: "", src: `${folder}${tile.picture}.jpg` });
  const said = [tile.truth && `label ${tile.truth}`, tile.call && tile.call !== tile.truth && `called ${tile.call}`];
  button.type = "button";
  button.title = `Show its place on ${slide.slide_id}`;
  Object.assign(button.dataset, { key: tile.key, x: tile.x, y: tile.y });
  button.append(picture, element("span", "", tile.words), element("span", "muted", slide.slide_id),
    element("span", tile.truth && tile.call && tile.truth !== tile.call ? "muted wrong" : "muted", said.filter(Boolean).join(", ")));
  button.addEventListener("click", () => jump(slide, { x: tile.x, y: tile.y }));
  item.append(button);
  return item;
}

function jump(slide, tile) {
  if (state.described === null || slide.key !== state.slide.key) return void show(slide, { tile });
  markTile(tile);
  goTo({ tile });
  drawScale();
  keepLink();
}

function stepTile(by) {
  const buttons = [...byId("shown_tiles").querySelectorAll("button")];
  const at = buttons.findIndex(one => one.getAttribute("aria-current") === "true");
  const next = buttons[at < 0 ? 0 : at + by];
  if (strip.isOpen && next) next.click();
}

/* The tile takes two fifths of the shorter side of the view. */
function viewOfTile(tile) {
  const side = state.described.side_l0, box = state.viewer.viewport.getContainerSize();
  if (!side) return null;
  return { x: tile.x + side / 2, y: tile.y + side / 2, zoom: 0.4 * Math.min(box.x, box.y) / side };
}

function markTile(tile) {
  strip.tile = tile;
  for (const button of byId("shown_tiles").querySelectorAll("button")) {
    const { key, x, y } = button.dataset;
    const isIt = tile !== null && state.slide !== null && key === state.slide.key && Number(x) === tile.x && Number(y) === tile.y;
    button.setAttribute("aria-current", String(isIt));
    if (isIt) button.scrollIntoView({ block: "nearest", inline: "nearest" });
  }
  putMark();
}

function putMark() {
  state.viewer.removeOverlay("mark");
  const { tile } = strip, described = state.described;
  if (tile === null || !described || !described.side_l0 || !state.viewer.isOpen()) return;
  const factor = described.factor || 1, mark = element("div", "mark");
  mark.id = "mark";
  const place = new OpenSeadragon.Rect(tile.x / factor, tile.y / factor, described.side_l0 / factor, described.side_l0 / factor);
  state.viewer.addOverlay({ element: mark, location: slideImage().imageToViewportRectangle(place) });
}

function linkOfStrip() {
  const tile = strip.tile ? { tile: `${strip.tile.x}_${strip.tile.y}` } : {};
  return strip.isOpen ? { gallery: strip.name, ...tile } : tile;
}

function tileOfLink(text) {
  const found = /^(\d{1,9})_(\d{1,9})$/.exec(text ?? "");
  return found && { x: Number(found[1]), y: Number(found[2]) };
}

function followStrip(name) {
  if (name === null) return closeStrip();
  strip.name = name;
  strip.isOpen = !byId("tiles").hidden;
}

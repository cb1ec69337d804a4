"use strict";
// Decides by the settings on the page which tiles are kept, and draws them. "decide" is the tiling rule in whole numbers,
// as tiling/redeciding.py has it; shares are in thousandths.
const ARRAYS = { uint16: Uint16Array, uint32: Uint32Array, int32: Int32Array };
const UNKNOWN = -1, DROPPED = -2;

function unpacked(packed) {
  const bytes = Uint8Array.from(atob(packed.base64), letter => letter.charCodeAt(0));
  return new ARRAYS[packed.kind](bytes.buffer);
}

function opened(slide) {
  const columns = slide.columns.length - 1, all = columns * (slide.rows.length - 1);
  const numbers = slide.numbers === null ? Uint32Array.from({ length: all }, (_, i) => i) : unpacked(slide.numbers);
  const px = Float64Array.from(numbers, number => {
    const row = Math.floor(number / columns), column = number % columns;
    return (slide.rows[row + 1] - slide.rows[row]) * (slide.columns[column + 1] - slide.columns[column]);
  });
  const exact = slide.exact === null ? null : { ...slide.exact, px: unpacked(slide.exact.px) };
  return { ...slide, perRow: columns, numbers, px, light: unpacked(slide.light), tissue: unpacked(slide.tissue), exact };
}

function decide(slide, whites, settings) {
  const n = slide.numbers.length, first = whites.indexOf(settings.white) * n, most = settings.maxBackground;
  const kept = new Uint8Array(n), sure = new Uint8Array(n);
  const exact = slide.exact !== null && slide.exact.white === settings.white ? slide.exact : null;
  const exactMost = exact === null ? 0 : most * exact.tilePx * exact.tilePx;
  for (let i = 0; i < n; i++) {
    const known = exact === null ? UNKNOWN : exact.px[i];
    if (known >= 0) {
      kept[i] = known * 1000 <= exactMost ? 1 : 0;
      sure[i] = 1;
    } else if (known === DROPPED && most <= exact.maxBackground) {
      sure[i] = 1;
    } else {
      kept[i] = slide.light[first + i] * 1000 <= most * slide.px[i] ? 1 : 0;
    }
    if (settings.withTissue && slide.tissue[i] < settings.minTissue) {
      kept[i] = 0;
      sure[i] = 1;
    }
  }
  return { kept, sure };
}

function tomlLines(settings, mask) {
  const lines = ["[tile]", "white = " + settings.white, "max_background = " + settings.maxBackground / 1000];
  lines.push('tissue = "' + (settings.withTissue ? mask : "none") + '"');
  if (settings.withTissue) lines.push("min_tissue = " + settings.minTissue / 1000);
  return lines.join("\n");
}

const data = JSON.parse(document.getElementById("data").textContent);
const slides = data.slides.map(opened);
const at = id => document.getElementById(id);
const controls = { white: at("white"), most: at("max-background"), mask: at("with-tissue"), tissue: at("min-tissue") };
const before = slides.map(slide => decide(slide, data.whites, data.own).kept);
const sum = values => values.reduce((one, other) => one + other, 0);
const said = number => number.toLocaleString("en");
const percent = thousandths => (thousandths / 10).toLocaleString("en") + " %";
let shown = 0;

function chosen() {
  return {
    white: data.whites[Number(controls.white.value)],
    maxBackground: Number(controls.most.value),
    withTissue: controls.mask.checked,
    minTissue: Number(controls.tissue.value),
  };
}

function put(settings) {
  controls.white.max = String(data.whites.length - 1);
  controls.white.value = String(data.whites.indexOf(settings.white));
  for (const [control, value] of [[controls.most, settings.maxBackground], [controls.tissue, settings.minTissue]]) {
    control.step = value % 10 === 0 ? "10" : value % 1 === 0 ? "1" : "any";
    control.value = String(value);
  }
  controls.mask.checked = settings.withTissue;
}

function draw(slide, kept, own, canvas) {
  const context = canvas.getContext("2d"), across = canvas.width / slide.size[0], down = canvas.height / slide.size[1];
  const style = getComputedStyle(document.documentElement), colour = name => style.getPropertyValue(name).trim();
  const colours = { kept: colour("--kept"), more: colour("--more"), fewer: colour("--fewer"), veil: colour("--veil") };
  context.clearRect(0, 0, canvas.width, canvas.height);
  context.fillStyle = colours.veil;
  context.fillRect(0, 0, canvas.width, canvas.height);
  slide.numbers.forEach((number, i) => {
    const row = Math.floor(number / slide.perRow), column = number % slide.perRow;
    const x = slide.columns[column] * across, y = slide.rows[row] * down;
    const width = slide.columns[column + 1] * across - x, height = slide.rows[row + 1] * down - y;
    if (kept[i]) context.clearRect(x, y, width, height);
    if (kept[i] || own[i]) {
      const thick = Math.max(1, Math.min(3, width / 8));
      context.strokeStyle = !own[i] ? colours.more : kept[i] ? colours.kept : colours.fewer;
      context.lineWidth = kept[i] && own[i] ? 1 : thick;
      context.strokeRect(x + thick / 2, y + thick / 2, width - thick, height - thick);
    }
  });
}

function update() {
  const settings = chosen();
  at("white-value").textContent = String(settings.white);
  at("max-background-value").textContent = percent(settings.maxBackground);
  at("min-tissue-value").textContent = percent(settings.minTissue);
  controls.tissue.disabled = !settings.withTissue;
  at("toml").textContent = tomlLines(settings, data.mask);
  at("copied").textContent = "";
  slides.forEach((slide, number) => {
    const { kept, sure } = decide(slide, data.whites, settings), n = kept.length, many = sum(kept);
    const change = many - sum(before[number]), cells = at("slide-" + number).cells;
    cells[1].textContent = said(n);
    cells[2].textContent = said(many);
    cells[3].textContent = percent(Math.round(1000 * many / n));
    cells[4].textContent = (change > 0 ? "+" : "") + said(change);
    cells[5].textContent = said(sum(sure));
    at("view-" + number).hidden = number !== shown;
    if (number === shown) draw(slide, kept, before[number], at("canvas-" + number));
  });
}

slides.forEach((_, number) => {
  const button = at("slide-" + number).querySelector("button"), canvas = at("canvas-" + number);
  button.addEventListener("click", () => {
    shown = number;
    for (const other of document.querySelectorAll("#slides button")) {
      other.setAttribute("aria-pressed", String(other === button));
    }
    update();
  });
  const picture = at("picture-" + number);
  const fit = () => {
    const enlarged = Math.ceil(900 / picture.naturalWidth);
    [canvas.width, canvas.height] = [enlarged * picture.naturalWidth, enlarged * picture.naturalHeight];
    update();
  };
  if (picture.complete) fit();
  else picture.addEventListener("load", fit);
});
for (const control of Object.values(controls)) control.addEventListener("input", update);
at("reset").addEventListener("click", () => {
  put(data.own);
  update();
});
at("copy").addEventListener("click", async () => {
  try {
    await navigator.clipboard.writeText(at("toml").textContent);
    at("copied").textContent = "copied";
  } catch {
    getSelection().selectAllChildren(at("toml"));
    at("copied").textContent = "the lines are selected: copy them with Ctrl+C";
  }
});
put(data.own);
update();

// The page's controls. All the work is in Rust; this file moves numbers between it and the page's elements.

import init, { Demo } from './demo.js';

const $ = (id) => document.getElementById(id);
const query = new URLSearchParams(location.search);
const number = (name, otherwise) => (query.has(name) ? Number(query.get(name)) : otherwise);

// What a machine reads: `cargo xtask demo --headless` waits for `done` or `error`.
const report = (globalThis.weblaneDemo = { done: false });

const settings = { seed: number('seed', 7) >>> 0, samples: number('samples', 32), sun: number('sun', 34) };
const colors = (index, count) => `hsl(${Math.round((index * 360) / count + 25)} 75% 62%)`;
const sleep = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));
const quantile = (sorted, part) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? 0;

let demo;
let closed = false;
let run = 0; // counts renderings: what belongs to an older one ends

main().catch((error) => {
  report.error = String(error?.message ?? error);
  $('status').className = 'bad';
  $('status').textContent = report.error;
});

async function main() {
  await init();
  demo = await Demo.open(number('workers', 0));
  report.workers = demo.workers;
  await giveCanvases();
  makeControls();
  requestAnimationFrame(frame);
  render();
}

/// One canvas for each worker, one above the other. Each leaves this thread for good, in a JS task with a transfer list.
async function giveCanvases() {
  for (let worker = 0; worker < demo.workers; worker += 1) {
    const canvas = document.createElement('canvas');
    [canvas.width, canvas.height] = [demo.width, demo.height];
    $('layers').append(canvas);
    await demo.giveCanvas(worker, canvas.transferControlToOffscreen());
  }
}

function makeControls() {
  const samples = $('samples');
  const sun = $('sun');
  const show = () => {
    $('samples-out').value = settings.samples;
    $('sun-out').value = `${settings.sun}°`;
    $('seed-out').value = settings.seed;
  };
  samples.value = Math.round(Math.log2(settings.samples));
  sun.value = settings.sun;
  samples.oninput = () => { settings.samples = 2 ** Number(samples.value); show(); render(); };
  sun.oninput = () => { settings.sun = Number(sun.value); show(); render(); };
  $('again').onclick = () => { settings.seed = (Math.random() * 2 ** 32) >>> 0; show(); render(); };
  $('ping').onclick = ping;
  show();

  const count = demo.workers;
  $('workers').append(
    ...Array.from({ length: count }, (_, index) => {
      const row = document.createElement('tr');
      row.innerHTML = `<td><span class="swatch" style="background:${colors(index, count)}"></span>${index + 1}</td><td></td><td></td><td></td><td></td>`;
      return row;
    }),
  );
  const map = $('map');
  [map.width, map.height] = [demo.width / demo.tile, demo.height / demo.tile];
}

/// The "JS task now" button.
async function ping() {
  const sent = performance.now();
  const busy = !demo.finished;
  const { worker } = await demo.ping({ sent });
  const latency = performance.now() - sent;
  $('latency').textContent = `${latency.toFixed(2)} ms there and back, worker ${worker}${busy ? ', busy' : ', idle'}`;
  return latency;
}

/// Renders a picture from the first sample to the last.
async function render() {
  const mine = (run += 1);
  const start = performance.now();
  frames.length = 0;
  report.done = false;
  demo.render(settings.seed, settings.samples, settings.sun);
  const workers = Array.from({ length: demo.workers }, (_, index) => index);
  const pings = [];
  while (mine === run && !demo.finished) {
    await Promise.all(workers.map((worker) => demo.present(worker)));
    if (pings.length < 10) pings.push(await ping());
    await sleep(40);
  }
  if (mine !== run) return;
  const seconds = (performance.now() - start) / 1000;
  const sorted = [...frames].sort((a, b) => a - b);
  await settle(workers, mine);
  if (mine !== run) return;
  $('status').textContent = `${demo.width}×${demo.height}, ${settings.samples} samples for each pixel in ${seconds.toFixed(1)} s, ${demo.tasks} tasks`;
  const stats = demo.stats();
  Object.assign(report, {
    seed: settings.seed,
    samples: settings.samples,
    seconds,
    checksum: demo.checksum(),
    tasks: workers.reduce((sum, worker) => sum + stats[4 * worker], 0),
    js_tasks: workers.reduce((sum, worker) => sum + stats[4 * worker + 3], 0),
    frame_p95_ms: quantile(sorted, 0.95),
    js_task_ms: pings.sort((a, b) => a - b)[pings.length >> 1],
    done: true,
  });
}

/// Lets the workers draw the last tiles. A canvas shows its drawing when its worker is next in its event loop, so that needs one visit more.
async function settle(workers, mine) {
  for (let visit = 0; visit < 2 && mine === run; visit += 1) {
    await Promise.all(workers.map((worker) => demo.present(worker)));
    await sleep(50);
  }
}

/// What `cargo xtask demo --headless` asks, with a screenshot of this page: how many pixels of the picture are not as they are in memory?
report.differing = async (png) => {
  const image = new Image();
  image.src = `data:image/png;base64,${png}`;
  await image.decode();
  const { left, top } = $('layers').getBoundingClientRect();
  const check = new OffscreenCanvas(demo.width, demo.height).getContext('2d', { willReadFrequently: true });
  check.drawImage(image, -Math.round(left), -Math.round(top));
  const { data } = check.getImageData(0, 0, demo.width, demo.height);
  const wanted = new Uint32Array(demo.pixels().buffer);
  return new Uint32Array(data.buffer).reduce((sum, pixel, index) => sum + (pixel === wanted[index] ? 0 : 1), 0);
};

/// Makes the page ready for its screenshot: the picture is shown pixel by pixel, and the workers go back to their event loops. For in Firefox whoever
/// reads a canvas that was given away (`drawImage`, a screenshot) waits for its worker, for as long as that sleeps in the pool.
report.close = () => {
  Object.assign($('layers').style, { width: `${demo.width}px`, height: `${demo.height}px`, borderRadius: 0 });
  demo.close();
  closed = true;
};

const frames = []; // frame times of this rendering, in milliseconds
const recent = []; // those that the meter shows
let last = performance.now();
let turn = 0;

function frame(now) {
  if (closed) return;
  const took = now - last;
  last = now;
  if (!demo.finished) frames.push(took);
  recent.push(took);
  if (recent.length > 140) recent.shift();
  drawMeter();
  turn += 1;
  if (turn % 6 === 0) showNumbers();
  requestAnimationFrame(frame);
}

function drawMeter() {
  const canvas = $('frames');
  const context = canvas.getContext('2d');
  context.clearRect(0, 0, canvas.width, canvas.height);
  context.fillStyle = '#2b303d';
  const height = (milliseconds) => Math.min(canvas.height, milliseconds * 2);
  context.fillRect(0, canvas.height - height(1000 / 60), canvas.width, 2);
  recent.forEach((took, index) => {
    context.fillStyle = took > 34 ? '#ff7a6b' : '#7fd1a8';
    context.fillRect(index * 4, canvas.height - height(took), 3, height(took));
  });
}

function showNumbers() {
  $('bar').style.transform = `scaleX(${demo.progress})`;
  if (!demo.finished) $('status').textContent = `rendering: ${Math.floor(demo.progress * 100)} %, ${demo.tasks} tasks`;
  const sorted = [...frames].sort((a, b) => a - b);
  $('p50').value = `${quantile(sorted, 0.5).toFixed(1)} ms`;
  $('p95').value = `${quantile(sorted, 0.95).toFixed(1)} ms`;
  const stats = demo.stats();
  [...$('workers').children].forEach((row, worker) => {
    for (let column = 0; column < 4; column += 1) row.children[column + 1].textContent = stats[4 * worker + column];
  });
  const map = $('map');
  const context = map.getContext('2d');
  demo.painters().forEach((painter, tile) => {
    context.fillStyle = painter === 0 ? '#000' : colors(painter - 1, demo.workers);
    context.fillRect(tile % map.width, Math.floor(tile / map.width), 1, 1);
  });
}

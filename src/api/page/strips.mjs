// The strips of time: the last hour as small drawings.

import { byId, draw, make, mark, say } from './dom.mjs';
import { duration, money, timeOfDay } from './text.mjs';
import { CATEGORIES, cost, isWaiting, model } from './model.mjs';
import { now } from './client.mjs';
import { HOUR, STEPS } from './past.mjs';

const STRIP_HEIGHT = 40;
const SAMPLES_KEY = 'controller-calls';

const STRIPS = [
  { id: 'waiting', name: 'Waiting', kind: 'area', told: number => number.toLocaleString('en') },
  { id: 'vms', name: 'VMs', kind: 'stack', told: number => number.toLocaleString('en') },
  { id: 'cost', name: 'Cost per hour', kind: 'area', told: money },
  { id: 'failures', name: 'Boot failures', kind: 'bars', told: number => number.toLocaleString('en') },
  {
    id: 'calls',
    name: 'Controller calls',
    kind: 'area',
    told: number => (number === undefined ? '…' : `${number.toFixed(1)}/s`),
  },
];

export class Strips {
  constructor() {
    this.samples = readSamples();
    this.views = STRIPS.map(strip => new Strip(strip));
    byId('strips').replaceChildren(...this.views.map(view => view.element));
    byId('strips').addEventListener('pointermove', event => this.point(event));
    byId('strips').addEventListener('pointerleave', () => this.point(null));
  }

  // The number of calls to the controller so far, as the metrics tell it. What was before the page was opened is not known.
  sample(calls) {
    const at = now();
    const last = this.samples.at(-1);
    // A new process counts from zero.
    if (last && calls < last.calls) this.samples = [];
    this.samples.push({ at, calls });
    this.samples = this.samples.filter(sample => sample.at > at - HOUR);
    sessionStorage.setItem(SAMPLES_KEY, JSON.stringify(this.samples));
  }

  show(past) {
    const at = now();
    past.forget(at);
    const waiting = model.containers.filter(isWaiting);
    const priceOf = type => model.types.get(type)?.price ?? 0;
    const series = past.series(at, waiting, model.instances, priceOf);
    const [of, begin] = [series, series.begin];
    const span = past.span(at);
    const rates = this.rates(at, span);
    const failures = of.failures.reduce((sum, number) => sum + number, 0);
    const shown = {
      waiting: { series: [of.waiting], now: waiting.length, begin },
      vms: { series: CATEGORIES.map(category => of.vms[category]), now: model.instances.length, begin },
      cost: { series: [of.cost], now: cost(model.instances).total, begin },
      failures: { series: [of.failures], now: failures, begin },
      calls: { series: [rates.series], now: rates.now, begin: rates.begin },
    };
    for (const view of this.views) view.show(shown[view.strip.id], at, span);
  }

  // Calls a second in each step, from two samples that enclose it.
  rates(at, span) {
    const series = new Array(STEPS).fill(0);
    for (let n = 1; n < this.samples.length; n += 1) {
      const [before, after] = [this.samples[n - 1], this.samples[n]];
      const rate = ((after.calls - before.calls) * 1000) / Math.max(1, after.at - before.at);
      const step = time => Math.max(0, Math.min(STEPS - 1, Math.floor(((time - at + span) * STEPS) / span)));
      series.fill(rate, step(before.at), step(after.at) + 1);
    }
    return { series, now: this.samples.length > 1 ? series.at(-1) : undefined, begin: this.samples[0]?.at ?? at };
  }

  // Shows the numbers of the moment under the pointer in all strips.
  point(event) {
    const box = event?.target.closest('.strip')?.querySelector('svg').getBoundingClientRect();
    const share = box ? (event.clientX - box.left) / box.width : -1;
    for (const view of this.views)
      view.point(share >= 0 && share <= 1 ? Math.min(STEPS - 1, Math.floor(share * STEPS)) : null);
  }
}

function readSamples() {
  try {
    return JSON.parse(sessionStorage.getItem(SAMPLES_KEY)) ?? [];
  } catch {
    return [];
  }
}

class Strip {
  constructor(strip) {
    this.strip = strip;
    this.number = make('b');
    this.when = make('span', { class: 'muted' });
    this.paths = Array.from({ length: strip.kind === 'stack' ? CATEGORIES.length : 1 }, (_, nth) =>
      draw('path', { class: strip.kind === 'stack' ? `area ${CATEGORIES[nth]}` : strip.kind }),
    );
    this.unknown = draw('rect', { class: 'unknown-time', y: 0, height: STRIP_HEIGHT });
    this.cursor = draw('line', { class: 'moment', y1: 0, y2: STRIP_HEIGHT, visibility: 'hidden' });
    this.svg = draw(
      'svg',
      // It has a name before anything is shown.
      {
        viewBox: `0 0 ${STEPS} ${STRIP_HEIGHT}`,
        preserveAspectRatio: 'none',
        role: 'img',
        'aria-label': strip.name,
      },
      this.unknown,
      this.paths,
      this.cursor,
    );
    const head = make(
      'div',
      { class: 'strip-head' },
      make('span', { class: 'label' }, strip.name),
      this.number,
      this.when,
    );
    this.length = make('span');
    const axis = make('div', { class: 'axis', 'aria-hidden': 'true' }, this.length, make('span', {}, 'now'));
    this.element = make('div', { class: 'strip' }, head, this.svg, axis);
  }

  show(shown, at, span) {
    Object.assign(this, { shown, at, span });
    say(this.length, `${duration(span / 1000)} ago`);
    const sums = this.sums();
    this.most = Math.max(...sums, this.strip.kind === 'bars' ? 0 : (shown.now ?? 0));
    this.top = Math.max(this.most, this.strip.kind === 'bars' ? 3 : 0) || 1;
    const begin = Math.max(0, Math.min(STEPS, ((shown.begin - at + span) * STEPS) / span));
    mark(this.unknown, 'width', begin.toFixed(1));
    const drawn = this.strip.kind === 'bars' ? bars : stacked;
    drawn(shown.series, this.top, Math.floor(begin)).forEach((path, nth) => mark(this.paths[nth], 'd', path));
    const { name, told } = this.strip;
    mark(
      this.svg,
      'aria-label',
      `${name}: now ${told(shown.now)}; at most ${told(this.most)} since ${timeOfDay(at - span).slice(0, 5)}`,
    );
    if (this.pointed === null || this.pointed === undefined) this.tellNow();
  }

  sums() {
    const [first, ...others] = this.shown.series;
    return first.map((value, step) => others.reduce((sum, series) => sum + series[step], value));
  }

  tellNow() {
    const { kind, told } = this.strip;
    say(this.number, told(this.shown.now));
    say(this.when, kind === 'bars' ? 'in this time' : `most ${told(this.most)}`);
  }

  point(step) {
    this.pointed = step;
    if (!this.shown) return;
    mark(this.cursor, 'visibility', step === null ? 'hidden' : 'visible');
    if (step === null) return this.tellNow();
    mark(this.cursor, 'x1', step + 0.5);
    mark(this.cursor, 'x2', step + 0.5);
    const at = this.at - this.span + ((step + 1) * this.span) / STEPS;
    const isKnown = at >= this.shown.begin;
    say(this.number, isKnown ? this.strip.told(this.sums()[step]) : '–');
    say(this.when, timeOfDay(at).slice(0, 5));
  }
}

// One path for each series, each upon those before it. Nothing is drawn before `begin`.
function stacked(series, top, begin) {
  const y = value => (STRIP_HEIGHT - (value / top) * (STRIP_HEIGHT - 2)).toFixed(2);
  const floor = new Array(STEPS).fill(0);
  return series.map(values => {
    const upper = [];
    const lower = [];
    for (let step = begin; step < STEPS; step += 1) {
      lower.unshift(`L${step + 1} ${y(floor[step])}L${step} ${y(floor[step])}`);
      floor[step] += values[step];
      upper.push(`L${step} ${y(floor[step])}L${step + 1} ${y(floor[step])}`);
    }
    return upper.length ? `M${begin} ${STRIP_HEIGHT}${upper.join('')}${lower.join('')}Z` : '';
  });
}

function bars([values], top) {
  const y = value => (STRIP_HEIGHT - (value / top) * (STRIP_HEIGHT - 2)).toFixed(2);
  return [
    values
      .map((value, step) => (value ? `M${step} ${STRIP_HEIGHT}V${y(value)}H${step + 1.5}V${STRIP_HEIGHT}Z` : ''))
      .join(''),
  ];
}

// The legend of the VMs' colours.
export function legend() {
  const shown = {
    busy: 'busy',
    booting: 'booting',
    idle: 'idle',
    hold: 'on hold',
    unknown: 'unknown',
    ending: 'ending',
  };
  return Object.entries(shown).map(([look, words]) =>
    make('span', { class: 'key' }, make('i', { class: look }), words),
  );
}

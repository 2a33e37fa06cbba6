// How elements are made. Texts go into the document as texts, and attributes are named here, never by an answer.

const SVG = 'http://www.w3.org/2000/svg';

export function byId(id) {
  return document.getElementById(id);
}

// An element with attributes (null and false are left out) and children, which are elements or texts.
export function make(tag, attributes = {}, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

export function draw(tag, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, tag), attributes, children);
}

function filled(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name === 'onclick') element.addEventListener('click', value);
    else if (value !== null && value !== undefined && value !== false)
      element.setAttribute(name, value === true ? '' : value);
  }
  element.append(...children.flat(Infinity).filter(child => child !== null && child !== undefined && child !== ''));
  return element;
}

// Changes a text, if it is another one: what is unchanged need not be laid out again, and stays selected. Who changes a text
// by this changes it by nothing else: what was said last is remembered, because to read a document costs time, too.
export function say(element, text) {
  if (element.said === text) return;
  element.said = text;
  element.textContent = text;
}

// The same for an attribute; null and false take it away.
export function mark(element, name, value) {
  element.marks ??= {};
  if (element.marks[name] === value) return;
  element.marks[name] = value;
  if (value === null || value === undefined || value === false) element.removeAttribute(name);
  else element.setAttribute(name, value);
}

// A list of names and values. Those without a value are left out.
export function facts(pairs) {
  const shown = pairs.filter(([, value]) => value !== '' && value !== null && value !== undefined);
  return make(
    'dl',
    { class: 'facts' },
    shown.map(([name, value]) => [make('dt', {}, name), make('dd', {}, value)]),
  );
}

// Said by a screen reader, and shown nowhere.
export function announce(text) {
  say(byId('announcement'), text);
}

// Lets the browser draw and take in what its user does.
export function breathe() {
  if (globalThis.scheduler?.yield) return globalThis.scheduler.yield();
  return new Promise(resolve => setTimeout(resolve));
}

// How long work may go on before the browser has its turn, in milliseconds.
const SLICE = 8;

// Long work in slices: when one is over, it is time to rest.
export class Slices {
  constructor() {
    this.began = performance.now();
  }

  get isOver() {
    return performance.now() - this.began >= SLICE;
  }

  async rest() {
    await breathe();
    this.began = performance.now();
  }
}

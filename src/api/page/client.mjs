// The management API: questions with the token in a header, answers line by line.
//
// The token is kept for as long as the tab is open, by the browser's session storage, and goes nowhere but into the header
// Authorization of requests to the page's own host.

import { Slices } from './dom.mjs';

const KEY = 'management-token';
const API = '/arvados/v1/dispatch';

// Whose clock the answers' dates are of: the service's, which may differ from ours.
let ahead = 0;

// The present time of the service, in milliseconds.
export function now() {
  return Date.now() + ahead;
}

export const token = {
  get: () => sessionStorage.getItem(KEY) ?? '',
  set: text => sessionStorage.setItem(KEY, text),
  forget: () => sessionStorage.removeItem(KEY),
};

// An answer that is no success, with the words of the service.
export class Refused extends Error {
  constructor(status, text) {
    super(text);
    this.status = status;
  }

  get isForToken() {
    return this.status === 401 || this.status === 403;
  }
}

async function ask(path, options = {}) {
  const response = await fetch(path, {
    ...options,
    headers: { Authorization: `Bearer ${token.get()}`, ...options.headers },
    cache: 'no-store',
    credentials: 'omit',
    redirect: 'error',
  });
  // A date has whole seconds: a difference of less may be none.
  const difference = Date.parse(response.headers.get('Date')) - Date.now();
  if (Math.abs(difference) > 2000) ahead = difference;
  return response;
}

async function refusal(response) {
  const text = await response.text();
  try {
    return new Refused(response.status, JSON.parse(text).errors.join('; '));
  } catch {
    return new Refused(response.status, `${response.status} ${response.statusText}`.trim());
  }
}

async function answered(path, options) {
  const response = await ask(path, options);
  if (!response.ok) throw await refusal(response);
  return response;
}

function query(parameters) {
  return Object.keys(parameters).length ? `?${new URLSearchParams(parameters)}` : '';
}

// One answer as a whole.
export async function show(name, parameters = {}) {
  return (await answered(`${API}/${name}${query(parameters)}`)).json();
}

// The health's checks, which are an answer whatever they say.
export async function health() {
  const response = await ask('/_health/ready');
  if (response.status !== 200 && response.status !== 503) throw await refusal(response);
  return response.json();
}

export async function metrics() {
  return (await answered('/metrics.json')).json();
}

// Has something done.
export async function order(name, parameters) {
  await answered(`${API}/${name}`, { method: 'POST', body: new URLSearchParams(parameters) });
}

// Reads an answer as it comes, and calls `told` for each line. However long it is, the browser has its turns.
async function eachLine(response, told) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  const slices = new Slices();
  let rest = '';
  for (;;) {
    const { value, done } = await reader.read();
    const lines = (rest + (value ?? '')).split('\n');
    rest = done ? '' : lines.pop();
    for (const line of lines) {
      told(line);
      if (slices.isOver) await slices.rest();
    }
    if (done) return;
  }
}

// The items of a list, each as soon as it has come: an item is a line.
export async function eachItem(name, told) {
  const response = await answered(`${API}/${name}`);
  await eachLine(response, line => {
    if (line.startsWith('{') && !line.startsWith('{"items":'))
      told(JSON.parse(line.endsWith(',') ? line.slice(0, -1) : line));
  });
}

// The events. With `follow` it goes on until the connection ends, and `alive` is called for each sign of life.
export async function eachEvent(parameters, told, { alive = () => {}, signal } = {}) {
  const response = await answered(`${API}/events${query(parameters)}`, { signal });
  alive();
  await eachLine(response, line => {
    alive();
    if (line) told(JSON.parse(line));
  });
}

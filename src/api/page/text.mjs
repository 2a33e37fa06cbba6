// How numbers, times and reasons are written. Pure functions: nothing here knows the page.

const NOTHING = '0001-01-01T00:00:00Z';

// A date as milliseconds; 0 = unknown.
export function moment(text) {
  return text && text !== NOTHING ? Date.parse(text) || 0 : 0;
}

// A length of time in its two largest units: "45 s", "12 min", "3 h 10 min", "2 d 4 h".
export function duration(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  if (whole < 60) return `${whole} s`;
  const minutes = Math.floor(whole / 60);
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 24) return minutes % 60 ? `${hours} h ${minutes % 60} min` : `${hours} h`;
  return hours % 24 ? `${Math.floor(hours / 24)} d ${hours % 24} h` : `${Math.floor(hours / 24)} d`;
}

// The time of day of the reader's clock.
export function timeOfDay(milliseconds) {
  const date = new Date(milliseconds);
  return [date.getHours(), date.getMinutes(), date.getSeconds()].map(part => String(part).padStart(2, '0')).join(':');
}

// Bytes in tenths, rounded up: what is needed is never shown as less.
export function size(bytes) {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let power = 0;
  while (power < units.length - 1 && bytes >= 1024 ** (power + 1)) power += 1;
  return `${Math.ceil((bytes / 1024 ** power) * 10) / 10} ${units[power]}`;
}

// A sum in the currency of the configured prices, which has no name.
export function money(amount) {
  return amount === 0 || amount >= 0.1 ? amount.toFixed(2) : price(amount);
}

// What one thing costs, which may be less than a hundredth.
export function price(amount) {
  return amount.toFixed(4).replace(/0{1,2}$/, '');
}

export function count(number, one, many = `${one}s`) {
  return `${number.toLocaleString('en')} ${number === 1 ? one : many}`;
}

// A value of an answer as people write it. Nothing is the empty text.
export function plain(value) {
  if (value === null || value === undefined) return '';
  if (Array.isArray(value)) return value.map(plain).join(', ');
  if (typeof value !== 'object') return String(value);
  const shown = Object.entries(value).map(([name, of]) => [name.replaceAll('_', ' '), plain(of)]);
  return shown
    .filter(([, text]) => text)
    .map(pair => pair.join(' '))
    .join(', ');
}

// What says something of containers for which there is no plan. The service has words for all others.
const WITHOUT_PLAN = new Map([
  ['not_planned_yet', 'it has just been seen'],
  ['undecodable', 'its record could never be read'],
  ['running', 'it runs'],
  ['complete', 'it has ended'],
  ['cancelled', 'it was cancelled'],
  ['deleted', 'the controller does not know it any more'],
  ['beyond_horizon', 'it waits behind more containers than can be started'],
]);

// The words of the service for reasons and causes of pauses, which it has put into the page.
const words = readWords();

function readWords() {
  const place = globalThis.document?.getElementById('words');
  const { reasons, causes } = JSON.parse(place?.textContent || '{"reasons":{},"causes":[]}');
  return { reasons: new Map(Object.entries(reasons)), causes: new Map(causes) };
}

// Why a container waits. A word of which nothing is known stands for itself.
export function reasonInWords(reason, cause) {
  if (reason === 'paused' && words.causes.has(cause)) return `creates are paused: ${words.causes.get(cause)}`;
  return words.reasons.get(reason) ?? WITHOUT_PLAN.get(reason) ?? reason;
}

// A reason as a short name, for counts.
export function reasonName(reason) {
  return reason.replaceAll('_', ' ');
}

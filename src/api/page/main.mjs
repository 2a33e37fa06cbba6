// The page at work: it is told of changes by the events, asks for what has changed, and shows it.
//
//   token ─► events (one request that does not end) ──┬─► the log, the last hour
//                                                     └─► something has changed: lists ─► model ─► the panes
//
// The lists are asked for when an event says that something has changed, and every ten seconds in case that none did.

import { announce, breathe, byId, mark, say } from './dom.mjs';
import { duration } from './text.mjs';
import { containerRow, instanceRow, isWaiting, model, sumOf, take } from './model.mjs';
import { Refused, eachEvent, eachItem, health, metrics, now, show, token } from './client.mjs';
import { Past } from './past.mjs';
import { Line } from './line.mjs';
import { Fleet } from './fleet.mjs';
import { Strips, legend } from './strips.mjs';
import { EventLog } from './log.mjs';
import { Head } from './head.mjs';
import { prepareOrders } from './order.mjs';
import { Detail } from './detail.mjs';

// How many events are asked for at the beginning: the last hour, of all but the largest sites.
const LAST_EVENTS = 20_000;
// In milliseconds: how long after a change the lists are asked for, how often at most, and how often if nothing changes.
const SOON = 80;
const OFTEN = 500;
const SELDOM = 10_000;
// What follows from a change need not be an event of its own.
const AFTERWARDS = 1500;
const CHECKS = 5000;
// Nothing for so long, not even a sign of life, is a connection that has died.
const DEAD = 35_000;
// After so long without an answer the data is old.
const OLD = 15_000;
const RETRIES = [1000, 2000, 5000];

const log = new EventLog((kind, event) => detail.open(kind, event));
const detail = new Detail(log, () => refreshSoon(0));
const open = (kind, subject) => detail.open(kind, subject);
const line = new Line(open);
const fleet = new Fleet(open);
const strips = new Strips();
const head = new Head(open);

let past = null;
// The last event that was told: where it goes on after a break.
let seen = null;
let isConnected = false;
// Which login is at work: what an earlier one has begun ends by itself.
let login = 0;
let following = null;

function start() {
  login += 1;
  byId('sign-in').close();
  document.body.classList.remove('signed-out');
  follow(login);
  check(login);
  refreshSoon(0);
}

function signOut(why = '') {
  login += 1;
  following?.abort();
  clearTimeout(refreshing.timer);
  token.forget();
  isConnected = false;
  document.body.classList.add('signed-out');
  say(byId('sign-in-error'), why);
  if (!byId('sign-in').open) byId('sign-in').showModal();
  byId('token').focus();
}

// Whatever goes wrong shows as data that gets old; only a token that is refused is the reader's to mend.
function failed(error) {
  if (error instanceof Refused && error.isForToken) signOut(`The service refuses this token: ${error.message}.`);
  model.trouble = error instanceof Refused ? error.message : 'the service does not answer';
  showState();
}

// ---------------------------------------------------------------- the events

async function follow(ours) {
  for (let failures = 0; ours === login; failures += 1) {
    following = new AbortController();
    let heard = performance.now();
    const watchdog = setInterval(() => performance.now() - heard > DEAD && following.abort(), DEAD / 7);
    const alive = () => {
      heard = performance.now();
      if (!isConnected) refreshSoon(0);
      isConnected = true;
      failures = 0;
    };
    const from = seen ? { since: seen.seq, boot: seen.boot } : { last: LAST_EVENTS };
    try {
      await eachEvent({ ...from, follow: 1 }, takeEvent, { alive, signal: following.signal });
    } catch (error) {
      if (ours === login) failed(error);
    }
    clearInterval(watchdog);
    if (ours !== login) return;
    isConnected = false;
    showState();
    await pause(RETRIES[Math.min(failures, RETRIES.length - 1)]);
  }
}

function pause(milliseconds) {
  return new Promise(resolve => setTimeout(resolve, milliseconds));
}

function takeEvent(event) {
  seen = { seq: event.seq, boot: event.boot };
  past ??= new Past(Date.parse(event.time) || now());
  past.take(event);
  log.take(event);
  showLogSoon();
  refreshSoon(SOON);
}

let logFrame = 0;

function showLogSoon() {
  logFrame ||= setTimeout(() => {
    logFrame = 0;
    log.show();
  }, 100);
}

// ---------------------------------------------------------------- the lists

const refreshing = { timer: 0, due: Infinity, began: -Infinity, took: 0, isOn: false, follows: false };

// Has the lists asked for after that time, but not more often than they can be told.
function refreshSoon(delay) {
  const at = performance.now();
  // Who does not look is told less often.
  const wait = document.hidden ? Math.max(delay, SELDOM) : delay;
  const due = Math.max(at + wait, refreshing.began + Math.max(OFTEN, 2 * refreshing.took));
  if (delay < SELDOM) refreshing.follows = true;
  if (refreshing.isOn || due >= refreshing.due) {
    refreshing.isAgain ||= refreshing.isOn && delay < SELDOM;
    return;
  }
  clearTimeout(refreshing.timer);
  refreshing.due = due;
  refreshing.timer = setTimeout(refresh, due - at);
}

async function refresh() {
  const ours = login;
  const follows = refreshing.follows;
  Object.assign(refreshing, { began: performance.now(), due: Infinity, isOn: true, isAgain: false, follows: false });
  try {
    await askForLists(ours);
  } catch (error) {
    if (ours === login) failed(error);
  }
  Object.assign(refreshing, { isOn: false, took: performance.now() - refreshing.began });
  if (ours !== login) return;
  if (refreshing.isAgain) refreshSoon(SOON);
  else if (follows) afterwards();
  else refreshSoon(SELDOM);
}

// Once more, for what has followed from the change; that once more has nothing after it.
function afterwards() {
  refreshSoon(AFTERWARDS);
  refreshing.follows = false;
}

async function askForLists(ours) {
  const [containers, instances] = [[], []];
  const [creates] = await Promise.all([
    show('creates'),
    eachItem('containers', item => containers.push(containerRow(item))),
    eachItem('instances', item => instances.push(instanceRow(item, instances.length))),
  ]);
  if (ours !== login) return;
  model.trouble = '';
  take({ containers, instances, creates }, now());
  await showAll();
}

async function showAll() {
  for (const pane of [head, line, fleet]) {
    pane.show();
    await breathe();
  }
  if (past) strips.show(past);
  showState();
  await detail.refresh();
}

// ---------------------------------------------------------------- health and metrics

async function check(ours) {
  while (ours === login) {
    try {
      const [checks, families] = await Promise.all([health(), metrics()]);
      if (ours !== login) return;
      model.health = checks;
      head.takeMetrics(families);
      strips.sample(sumOf(families, 'controller_requests_total'));
      head.show();
    } catch (error) {
      if (ours === login) failed(error);
    }
    await pause(CHECKS);
  }
}

// ---------------------------------------------------------------- how old the data is

let wasLive = null;

function showState() {
  if (document.hidden) return;
  const age = model.toldAt ? now() - model.toldAt : Infinity;
  const isLive = isConnected && age < OLD && !model.trouble;
  const words = isLive ? 'live' : stateInWords(age);
  say(byId('state'), words);
  mark(byId('state'), 'class', isLive ? 'live' : 'old');
  document.body.classList.toggle('is-old', !isLive && wasLive !== null);
  if (wasLive !== null && isLive !== wasLive)
    announce(isLive ? 'The data is live again.' : `The data is old: ${words}`);
  if (isLive || wasLive !== null) wasLive = isLive;
  const waiting = model.containers.filter(isWaiting).length;
  document.title = `${isLive ? '' : '(old) '}${waiting} waiting, ${model.instances.length} VMs`;
}

function stateInWords(age) {
  const why = model.trouble || 'no connection';
  if (!model.toldAt) return model.trouble ? `no data: ${why}` : 'asking …';
  return `data of ${duration(age / 1000)} ago: ${why}; trying again`;
}

// ---------------------------------------------------------------- what the reader does

async function search() {
  const text = byId('search').value;
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  for (const part of [line, fleet, log]) {
    part.show(words);
    await breathe();
    // Who has gone on typing wants something else.
    if (byId('search').value !== text) return;
  }
}

// Opens what was searched for: the one thing that is found, or what has exactly that name.
function openFound(event) {
  event.preventDefault();
  const text = byId('search').value.trim();
  if (/^[a-z0-9]{5}-dz642-[a-z0-9]{15}$/.test(text)) return open('container', text);
  if (model.byInstance.has(text)) return open('instance', text);
  const [containers, instances] = [line.pane.cells, fleet.pane.cells];
  if (instances.length === 1) return open('instance', instances[0].id);
  if (containers.length) return open('container', containers[0].id);
  if (instances.length) return open('instance', instances[0].id);
  return announce('Nothing is found.');
}

function typed(event) {
  const isText = event.target.matches('input, textarea');
  const isAsked = document.querySelector('dialog:modal') !== null;
  if (event.key === '/' && !isText && !isAsked) {
    event.preventDefault();
    byId('search').focus();
  }
  if (event.key !== 'Escape' || isAsked) return;
  if (event.target !== byId('search')) return detail.close();
  byId('search').value = '';
  search();
}

function signIn(event) {
  event.preventDefault();
  token.set(byId('token').value.trim());
  byId('token').value = '';
  say(byId('sign-in-error'), '');
  start();
}

// At small sizes one section is shown at a time.
function choose(event) {
  const name = event.target.closest('button')?.dataset.section;
  if (!name) return;
  document.body.dataset.section = name;
  for (const tab of byId('tabs').children) mark(tab, 'aria-pressed', String(tab.dataset.section === name));
  fleet.show();
  line.show();
}

byId('legend').replaceChildren(...legend());
byId('search').addEventListener('input', search);
byId('search-form').addEventListener('submit', openFound);
byId('sign-in-form').addEventListener('submit', signIn);
byId('sign-in').addEventListener('cancel', event => event.preventDefault());
byId('sign-out').addEventListener('click', () => {
  signOut();
  location.reload();
});
byId('tabs').addEventListener('click', choose);
addEventListener('keydown', typed);
document.addEventListener('visibilitychange', () => document.hidden || refreshSoon(0));
prepareOrders();
setInterval(showState, 1000);
setInterval(() => past && !document.hidden && model.toldAt && strips.show(past), 5000);

if (token.get()) start();
else signOut();
detail.openNamed();
